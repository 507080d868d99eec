/* A document that a command prints with -o json: {"apiVersion", "kind", what is set}. One that ran out of memory on
 * the way prints as NULL, so that nothing between needs a check. */
#ifndef KONTAIN_DOCUMENT_H
#define KONTAIN_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

struct json_t;

struct kt_document {
	struct json_t *root; /* owned */
	struct json_t *at;   /* borrowed: the item that was begun last, else root */
	bool is_broken;
};

void kt_document_begin(struct kt_document *document, const char *kind);
void kt_document_done(struct kt_document *document); /* for KT_OWN */

/* A list of the root, empty for now. */
void kt_document_list(struct kt_document *document, const char *list);
/* The next item of it: what follows is set there. list NULL: back to the root. */
void kt_document_item(struct kt_document *document, const char *list);

void kt_document_text(struct kt_document *document, const char *key, const char *value);
void kt_document_bool(struct kt_document *document, const char *key, bool value);
void kt_document_number(struct kt_document *document, const char *key, size_t value);
/* key: value in an object under `object`. */
void kt_document_pair(struct kt_document *document, const char *object, const char *key, const char *value);

/* Owned, indented, with a newline. */
char *kt_document_print(const struct kt_document *document);

#endif
