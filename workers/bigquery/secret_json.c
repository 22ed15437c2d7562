/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever malloc gave may be freed by either of the two frees, so it does no harm if somebody else's JSON is freed meanwhile.
 */
#include "workers/bigquery/secret_json.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void wiping_free(void *memory)
{
    if (memory != NULL) {
        explicit_bzero(memory, malloc_usable_size(memory));
        free(memory);
    }
}

json_t *secret_json_load(const char *bytes, size_t size)
{
    json_t *root;

    json_set_alloc_funcs(malloc, wiping_free);
    root = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return NULL;
    }
    return root;
}

void secret_json_free(json_t *root)
{
    json_decref(root);
    json_set_alloc_funcs(malloc, free);
}

const char *secret_json_text(const json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(object, field));

    return text != NULL && text[0] != '\0' ? text : NULL;
}
