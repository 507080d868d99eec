/* A growing array of anything. */
#ifndef KONTAIN_ARRAY_H
#define KONTAIN_ARRAY_H

#include <stddef.h>

/* Makes room for one item more in *array (owned, from malloc, or NULL), which has count items of item_size bytes and
 * room for *room: 0, or -ENOMEM and all is as it was. array points to the pointer. */
int kt_array_reserve(void *array, size_t count, size_t *room, size_t item_size);

#endif
