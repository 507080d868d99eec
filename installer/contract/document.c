#include <stdlib.h>
#include <string.h>

#include "jsonfields.h"
#include "kontain/base/own.h"
#include "kontain/contract/document.h"

static void set(struct kt_document *document, struct json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) < 0)
		document->is_broken = true;
}

void kt_document_begin(struct kt_document *document, const char *kind)
{
	*document = (struct kt_document){.root = json_object()};
	document->at = document->root;
	kt_document_text(document, "apiVersion", "kontain.app/v1");
	kt_document_text(document, "kind", kind);
}

void kt_document_done(struct kt_document *document)
{
	kt_json_release(&document->root);
}

void kt_document_list(struct kt_document *document, const char *list)
{
	set(document, document->root, list, json_array());
}

void kt_document_item(struct kt_document *document, const char *list)
{
	json_t *item = list ? json_object() : document->root;

	if (list && json_array_append_new(json_object_get(document->root, list), item) < 0) {
		document->is_broken = true;
		return;
	}
	document->at = item;
}

void kt_document_text(struct kt_document *document, const char *key, const char *value)
{
	set(document, document->at, key, kt_json_text(value));
}

void kt_document_bool(struct kt_document *document, const char *key, bool value)
{
	set(document, document->at, key, json_boolean(value));
}

void kt_document_number(struct kt_document *document, const char *key, size_t value)
{
	set(document, document->at, key, json_integer((json_int_t)value));
}

void kt_document_pair(struct kt_document *document, const char *object, const char *key, const char *value)
{
	if (!json_object_get(document->at, object))
		set(document, document->at, object, json_object());
	set(document, json_object_get(document->at, object), key, kt_json_text(value));
}

char *kt_document_print(const struct kt_document *document)
{
	KT_OWN(kt_free_mem) char *text = document->is_broken ? NULL : json_dumps(document->root, JSON_INDENT(2));
	size_t size = text ? strlen(text) : 0;
	char *whole = text ? realloc(text, size + 2) : NULL;

	if (!whole)
		return NULL;
	text = NULL;
	memcpy(whole + size, "\n", 2);
	return whole;
}
