#include "kontain/contract/jsonbound.h"

bool kt_json_is_within(const char *bytes, size_t size, size_t signs_max)
{
	bool is_in_string = false;
	size_t count = 0;

	for (size_t i = 0; i < size; i++) {
		if (is_in_string && bytes[i] == '\\')
			i++;
		else if (bytes[i] == '"')
			is_in_string = !is_in_string;
		else if (!is_in_string)
			count += bytes[i] == '{' || bytes[i] == '[' || bytes[i] == ',' || bytes[i] == ':';
	}
	return count <= signs_max;
}
