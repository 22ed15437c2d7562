/* SPDX-License-Identifier: Apache-2.0 */
/* sqlite_query: a second pair of eyes on a database file: a connection of its own for each question. */
#ifndef KAKEHI_TESTS_UNIT_SQLITE_QUERY_H
#define KAKEHI_TESTS_UNIT_SQLITE_QUERY_H

/* The answer as text: columns by '|', rows by ';', NULL as "null"; "error: ..." if there is none. Borrowed until the next one. */
const char *sqlite_query(const char *path, const char *sql);

/* A new temporary folder, and the path of a file in it that is not there yet; remove takes the folder and what is in it. */
void sqlite_folder_make(char path[64]);
void sqlite_folder_remove(const char *path);

#endif
