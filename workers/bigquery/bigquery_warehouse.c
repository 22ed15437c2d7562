/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/bigquery/bigquery_warehouse.h"

int bigquery_warehouse_new(uv_loop_t *loop, const struct settings *settings, struct warehouse **ret_warehouse, struct err *err)
{
    (void)loop;
    (void)settings;
    (void)ret_warehouse;
    return err_set(err, ERR_FATAL, "warehouse: bigquery is not part of this build");
}
