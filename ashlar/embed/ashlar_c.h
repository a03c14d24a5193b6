#pragma once

/* Ashlar for C, and for every language that calls C: ashlar/embed/db.h without its classes. Families, merges
 * and calls with options: ashlar_c_options.h; transactions: ashlar_c_transaction.h.
 *
 *   ashlar_error error;
 *   ashlar_db* db = ashlar_open("/var/lib/app", NULL, &error);
 *   if (db == NULL) { puts(error.message); return 1; }
 *   ashlar_put(db, "key", 3, "value", 5, ASHLAR_DURABLE, &error);
 *   ashlar_close(db, &error);
 *
 * Errors: a call that can fail returns a code, ASHLAR_OK where it did what it says, and fills in `error`,
 * which may be NULL. Nothing is thrown. Absence is not an error. Ownership: what a call ending in _create or
 * _open returns is ended by its _destroy or _close; values by ashlar_free(). Keys and values that are passed
 * in are copied or used up before the call returns. Threads: a database, its options and its snapshots may be
 * used by any number of threads; a batch, an iterator and a reader by one at a time. Handles end before the
 * database they are of.
 */

#include "ashlar/embed/ashlar_c_options.h"
#include "ashlar/embed/ashlar_c_transaction.h"
#include "ashlar/embed/ashlar_c_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of the library at run time. */
ASHLAR_API uint32_t ashlar_c_api_version(void);

/* Of a value that a call returned. NULL is allowed. */
ASHLAR_API void ashlar_free(void* value);

/* Options. "shards", "pin", "drive", "memory-cap", "create" (true|false), "merge-operator", "spin" (such as
 * "150us"), or any option of docs/options.md, such as "kv.cache-bytes". Names and values are checked when a
 * database is opened. */
ASHLAR_API ashlar_options* ashlar_options_create(void);
ASHLAR_API void ashlar_options_destroy(ashlar_options* options);
ASHLAR_API int ashlar_options_set(ashlar_options* options, const char* name, const char* value,
                                  ashlar_error* error);
/* The next partition of a new database begins with this key; in ascending order. */
ASHLAR_API void ashlar_options_add_boundary(ashlar_options* options, const char* key, size_t key_bytes);

/* A directory ("dir:PATH" or just the path) or a formatted device ("blob(uring:/dev/nvme0n1)"). `options` may
 * be NULL. NULL where it fails. */
ASHLAR_API ashlar_db* ashlar_open(const char* where, const ashlar_options* options, ashlar_error* error);
/* Ends it in any case, unless this thread is one of its own (ASHLAR_INVALID). Errors are those of the last
 * sync. */
ASHLAR_API int ashlar_close(ashlar_db* db, ashlar_error* error);

/* *value is NULL where there is none. */
ASHLAR_API int ashlar_get(ashlar_db* db, const char* key, size_t key_bytes, char** value, size_t* value_bytes,
                          ashlar_error* error);
/* For each key, in the order given: values[i] is NULL where there is none. On an error all are. */
ASHLAR_API int ashlar_multi_get(ashlar_db* db, size_t count, const char* const* keys, const size_t* key_bytes,
                                char** values, size_t* value_bytes, ashlar_error* error);
ASHLAR_API int ashlar_put(ashlar_db* db, const char* key, size_t key_bytes, const char* value,
                          size_t value_bytes, int durability, ashlar_error* error);
/* Absent from expiry_ms on, in milliseconds since 1970. */
ASHLAR_API int ashlar_put_until(ashlar_db* db, const char* key, size_t key_bytes, const char* value,
                                size_t value_bytes, uint64_t expiry_ms, int durability, ashlar_error* error);
ASHLAR_API int ashlar_erase(ashlar_db* db, const char* key, size_t key_bytes, int durability,
                            ashlar_error* error);
/* Sets the key to `desired` (NULL: erases it) if it holds `expected` (NULL: is absent). *swapped: whether. */
ASHLAR_API int ashlar_compare_and_swap(ashlar_db* db, const char* key, size_t key_bytes, const char* expected,
                                       size_t expected_bytes, const char* desired, size_t desired_bytes,
                                       int durability, int* swapped, ashlar_error* error);

/* Writes that are made together, or not at all. */
ASHLAR_API ashlar_batch* ashlar_batch_create(void);
ASHLAR_API void ashlar_batch_destroy(ashlar_batch* batch);
ASHLAR_API void ashlar_batch_put(ashlar_batch* batch, const char* key, size_t key_bytes, const char* value,
                                 size_t value_bytes);
ASHLAR_API void ashlar_batch_put_until(ashlar_batch* batch, const char* key, size_t key_bytes,
                                       const char* value, size_t value_bytes, uint64_t expiry_ms);
ASHLAR_API void ashlar_batch_erase(ashlar_batch* batch, const char* key, size_t key_bytes);
ASHLAR_API void ashlar_batch_clear(ashlar_batch* batch);
ASHLAR_API int ashlar_write(ashlar_db* db, const ashlar_batch* batch, int durability, ashlar_error* error);

/* Without waiting. */
ASHLAR_API int ashlar_write_async(ashlar_db* db, const ashlar_batch* batch, int durability, ashlar_done done,
                                  void* context, ashlar_error* error);

/* The database as it is now, for reads later. */
ASHLAR_API ashlar_snapshot* ashlar_snapshot_create(ashlar_db* db, ashlar_error* error);
ASHLAR_API void ashlar_snapshot_destroy(ashlar_snapshot* snapshot);

/* A thread's way to read. `snapshot` may be NULL, and outlives it. */
ASHLAR_API ashlar_reader* ashlar_reader_create(ashlar_db* db, const ashlar_snapshot* snapshot,
                                               int durability);
ASHLAR_API void ashlar_reader_destroy(ashlar_reader* reader);
/* Copies as much as fits. *value_bytes: the value's size; *found: whether there is one. Allocates nothing. */
ASHLAR_API int ashlar_reader_get(ashlar_reader* reader, const char* key, size_t key_bytes, char* into,
                                 size_t into_bytes, size_t* value_bytes, int* found, ashlar_error* error);

/* Walks keys in order. Bounds of 0 bytes are none; `upper` is excluded; `snapshot` may be NULL. */
ASHLAR_API ashlar_iterator* ashlar_iterator_create(ashlar_db* db, const char* lower, size_t lower_bytes,
                                                   const char* upper, size_t upper_bytes,
                                                   const ashlar_snapshot* snapshot, ashlar_error* error);
ASHLAR_API void ashlar_iterator_destroy(ashlar_iterator* iterator);
/* Each returns whether it stands on a key then; if not, ashlar_iterator_status() says whether it failed. */
ASHLAR_API int ashlar_iterator_seek_first(ashlar_iterator* iterator);
ASHLAR_API int ashlar_iterator_seek_last(ashlar_iterator* iterator);
ASHLAR_API int ashlar_iterator_seek(ashlar_iterator* iterator, const char* key, size_t key_bytes);
ASHLAR_API int ashlar_iterator_seek_backward(ashlar_iterator* iterator, const char* key, size_t key_bytes);
ASHLAR_API int ashlar_iterator_next(ashlar_iterator* iterator);     /* only where it stands on a key */
ASHLAR_API int ashlar_iterator_previous(ashlar_iterator* iterator); /* likewise */
ASHLAR_API int ashlar_iterator_valid(const ashlar_iterator* iterator);
/* Valid until it moves; not ended by a zero. */
ASHLAR_API const char* ashlar_iterator_key(const ashlar_iterator* iterator, size_t* bytes);
ASHLAR_API const char* ashlar_iterator_value(const ashlar_iterator* iterator, size_t* bytes);
ASHLAR_API int ashlar_iterator_status(const ashlar_iterator* iterator, ashlar_error* error);

/* Everything written before survives power loss; is in tables; and these are compacted. */
ASHLAR_API int ashlar_sync(ashlar_db* db, ashlar_error* error);
ASHLAR_API int ashlar_flush(ashlar_db* db, ashlar_error* error);
ASHLAR_API int ashlar_compact(ashlar_db* db, ashlar_error* error);

/* As DbStats of db.h says. Set `struct_bytes` before the call: a library that is newer fills in no more. */
typedef struct ashlar_stats {
  size_t struct_bytes;
  uint64_t partitions;
  uint64_t memtable_bytes, memtable_entries;
  uint64_t table_count, table_bytes, table_entries;
  uint64_t log_bytes;
  uint64_t writes, write_bytes;
  uint64_t reads_asked, reads_from_device;
  uint64_t flushes, compactions, compaction_bytes, stalls;
  uint64_t memory_bytes, memory_cap_bytes;
  uint64_t log_write_bytes, flush_bytes, compaction_read_bytes, compaction_debt_bytes;
  uint64_t delayed_writes, failed_jobs;
} ashlar_stats;
ASHLAR_API int ashlar_get_stats(ashlar_db* db, ashlar_stats* stats, ashlar_error* error);

/* A second database with what this one holds at one moment; as Db::checkpoint() of db.h says. */
ASHLAR_API int ashlar_checkpoint(ashlar_db* db, const char* where, ashlar_error* error);

/* With the option "drive", on the thread that opened the database: its event loop does the work of a shard.
 * Returns how many nanoseconds it may wait for the descriptor at most; UINT64_MAX: for ever. */
ASHLAR_API uint64_t ashlar_poll(ashlar_db* db);
/* Readable when ashlar_poll() has something to do since it last returned; for epoll and the like. */
ASHLAR_API int ashlar_descriptor(ashlar_db* db, int* descriptor, ashlar_error* error);

#ifdef __cplusplus
}
#endif
