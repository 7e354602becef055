/* SPDX-License-Identifier: MIT
 *
 * See port_file.h. Blocking code.
 */
#include "app/port_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum cx_status app__port_file_write(const char *path, int port, struct cx_err *err)
{
    struct cx_buf beside;
    cx_buf_init(&beside, 8192);
    cx_buf_printf(&beside, "%s.new", path);
    FILE *file = beside.failed ? NULL : fopen(beside.data, "we");
    bool written = file != NULL && fprintf(file, "%d\n", port) > 0;
    if (file != NULL) {
        written = fclose(file) == 0 && written;
    }
    written = written && rename(beside.data, path) == 0;
    const int why = errno;
    cx_buf_free(&beside);
    if (!written) {
        return cx_err_set(err, CX_IO_ERROR, "cannot write the port file %s: %s", path,
                          strerror(why));
    }
    return CX_OK;
}
