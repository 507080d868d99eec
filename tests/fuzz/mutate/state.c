/* The state document gains fields, and without one of them it is refused: a corpus would be worth less with each. So
 * nine times of ten what is missing in a document, and in the objects in it, is taken from one that is printed now. */
#include <jansson.h>
#include <string.h>

#include "fuzz.h"
#include "kontain/base/own.h"
#include "kontain/contract/message.h"
#include "kontain/contract/statejson.h"

static void json_drop(json_t **json)
{
	json_decref(*json);
}

/* Takes the text. */
static void keys_add(json_t *to, char *text)
{
	KT_OWN(kt_free_mem) char *own = text;
	KT_OWN(json_drop) json_t *from = own ? json_loads(own, 0, NULL) : NULL;

	(void)json_object_update_missing(to, from);
}

static json_t *whole_document(void)
{
	const struct kt_probe probe = {.kvm.api_version = -1};
	const struct kt_state_proof proof = {.ran = false};
	const struct kt_error failure = {.code = 5, .reason = KT_REASON_IO_ERROR, .text = "text"};
	json_t *whole = json_object();
	struct kt_state state;

	kt_state_init(&state);
	strcpy(state.boot_id, "0a1b2c3d-0000-4000-8000-123456789abc");
	state.observed_at = state.next_update_by = 1767225600;
	keys_add(whole, kt_state_print(&state));
	keys_add(whole, kt_probe_print(&probe));
	keys_add(whole, kt_proof_print(&proof));
	keys_add(whole, kt_error_print(&failure));
	return whole;
}

/* Objects that are there already are gone into, two levels deep: more the document has not. */
static void missing_add(json_t *to, json_t *from, int depth)
{
	const char *key;
	json_t *value;

	json_object_foreach (from, key, value) {
		json_t *own = json_object_get(to, key);

		if (json_is_object(own) && depth > 0)
			missing_add(own, value, depth - 1);
	}
	(void)json_object_update_missing(to, from);
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t most, unsigned seed)
{
	size_t mutated = LLVMFuzzerMutate(bytes, size, most);
	KT_OWN(json_drop) json_t *root = seed % 10 == 0 ? NULL : json_loadb((char *)bytes, mutated, 0, NULL);
	KT_OWN(json_drop) json_t *whole = json_is_object(root) ? whole_document() : NULL;
	size_t wanted;

	if (!whole)
		return mutated;
	missing_add(root, whole, 2);
	wanted = json_dumpb(root, NULL, 0, JSON_COMPACT);
	return wanted == 0 || wanted > most ? mutated : json_dumpb(root, (char *)bytes, wanted, JSON_COMPACT);
}
