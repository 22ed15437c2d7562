/* SPDX-License-Identifier: Apache-2.0 */
/* Half of the text is kept for the cause when words are put in front: the outermost caller never pushes it out. */
#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct err *err_set_text(struct err *err, enum err_class class, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    err->class = class;
    (void)vsnprintf(err->text, sizeof err->text, format, list);
    va_end(list);
    return err;
}

struct err *err_put_in_front(struct err *err, const char *format, ...)
{
    char because[sizeof err->text];
    va_list list;
    size_t used;

    memcpy(because, err->text, sizeof because);
    va_start(list, format);
    (void)vsnprintf(err->text, sizeof err->text / 2, format, list); /* half of the room stays for the cause */
    va_end(list);
    used = strlen(err->text);
    (void)snprintf(err->text + used, sizeof err->text - used, ": %s", because);
    return err;
}

const char *err_class_name(enum err_class class)
{
    static const char *const names[] = {"none", "retry", "poison", "fatal", "canceled"};

    return names[class];
}
