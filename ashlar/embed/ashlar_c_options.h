#pragma once

/* Calls with options of their own; column families, merge operators and ranges of keys. `options` may be NULL
 * everywhere. What holds of every call: ashlar_c.h. */

#include "ashlar/embed/ashlar_c_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* *value is NULL where there is none. */
ASHLAR_API int ashlar_get_with(ashlar_db* db, const char* key, size_t key_bytes,
                               const ashlar_read_options* options, char** value, size_t* value_bytes,
                               ashlar_error* error);
/* Absent from expiry_ms on, in milliseconds since 1970; 0: it stays. */
ASHLAR_API int ashlar_put_with(ashlar_db* db, const char* key, size_t key_bytes, const char* value,
                               size_t value_bytes, uint64_t expiry_ms, const ashlar_write_options* options,
                               ashlar_error* error);
ASHLAR_API int ashlar_erase_with(ashlar_db* db, const char* key, size_t key_bytes,
                                 const ashlar_write_options* options, ashlar_error* error);
/* Changes the value by the merge operator of the key's family, without reading it. */
ASHLAR_API int ashlar_merge(ashlar_db* db, const char* key, size_t key_bytes, const char* operand,
                            size_t operand_bytes, const ashlar_write_options* options, ashlar_error* error);
/* Every key from `lower` (included) to `upper` (excluded); bounds of 0 bytes are none. */
ASHLAR_API int ashlar_erase_range(ashlar_db* db, const char* lower, size_t lower_bytes, const char* upper,
                                  size_t upper_bytes, const ashlar_write_options* options,
                                  ashlar_error* error);
ASHLAR_API int ashlar_write_with(ashlar_db* db, const ashlar_batch* batch,
                                 const ashlar_write_options* options, ashlar_error* error);

/* A timeout counts from here. */
ASHLAR_API ashlar_reader* ashlar_reader_create_with(ashlar_db* db, const ashlar_read_options* options);
ASHLAR_API ashlar_iterator* ashlar_iterator_create_with(ashlar_db* db, const char* lower, size_t lower_bytes,
                                                        const char* upper, size_t upper_bytes,
                                                        const ashlar_read_options* options,
                                                        ashlar_error* error);

ASHLAR_API void ashlar_batch_put_in(ashlar_batch* batch, ashlar_family family, const char* key,
                                    size_t key_bytes, const char* value, size_t value_bytes,
                                    uint64_t expiry_ms);
ASHLAR_API void ashlar_batch_erase_in(ashlar_batch* batch, ashlar_family family, const char* key,
                                      size_t key_bytes);
ASHLAR_API void ashlar_batch_merge(ashlar_batch* batch, ashlar_family family, const char* key,
                                   size_t key_bytes, const char* operand, size_t operand_bytes);
/* A batch with ranges is of one partition. */
ASHLAR_API void ashlar_batch_erase_range(ashlar_batch* batch, ashlar_family family, const char* lower,
                                         size_t lower_bytes, const char* upper, size_t upper_bytes);

/* `merge_operator`: by name, NULL: none. What is put without an expiry is absent after ttl_ms; 0: it stays.
 */
ASHLAR_API int ashlar_create_family(ashlar_db* db, const char* name, const char* merge_operator,
                                    uint64_t ttl_ms, ashlar_family* family, ashlar_error* error);
/* Its keys are gone at once. */
ASHLAR_API int ashlar_drop_family(ashlar_db* db, const char* name, ashlar_error* error);
/* *found: whether there is one of that name. */
ASHLAR_API int ashlar_find_family(ashlar_db* db, const char* name, ashlar_family* family, int* found,
                                  ashlar_error* error);

/* The value that `count` operands, the oldest first, make of `base` (NULL: the key is absent). Returns 0 and
 * *result, from malloc(): the library frees it; or another number: the read fails (ASHLAR_CORRUPT). Called on
 * any thread of the database, at any time, and outlives it: no state, no call of the database, the same
 * result for the same arguments. */
typedef int (*ashlar_merge_function)(void* context, const char* key, size_t key_bytes, const char* base,
                                     size_t base_bytes, size_t count, const char* const* operands,
                                     const size_t* operand_bytes, char** result, size_t* result_bytes);
/* The name is recorded in the directory, and must be given again whenever it is opened. */
ASHLAR_API void ashlar_options_add_merge_operator(ashlar_options* options, const char* name,
                                                  ashlar_merge_function merge, void* context);

#ifdef __cplusplus
}
#endif
