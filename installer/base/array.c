#include "kontain/base/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 16

int kt_array_reserve(void *array, size_t count, size_t *room, size_t item_size)
{
	size_t wanted = *room > 0 ? *room * 2 : FIRST_ROOM;
	void *items, *grown;

	if (count < *room)
		return 0;
	memcpy(&items, array, sizeof(items)); /* whatever it points to: a void ** would alias */
	grown = reallocarray(items, wanted, item_size);
	if (!grown)
		return -ENOMEM;
	memcpy(array, &grown, sizeof(grown));
	*room = wanted;
	return 0;
}
