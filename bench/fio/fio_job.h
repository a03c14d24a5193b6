#pragma once

/* What libashlar-fio.so is made of: a job of fio as the runtime sees it. In C, because fio's own headers are:
 * engine.c includes those and this, and nothing of ours; fio_job.cc this, and nothing of fio's. */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One device on one shard, both of the thread that opens it and on that thread alone. */
struct ashlar_fio_job;

enum ashlar_fio_op { ashlar_fio_read, ashlar_fio_write, ashlar_fio_flush, ashlar_fio_trim };

/* Opens the device, asks for its size and closes it again. 0, or -1 with a message of one line. */
int ashlar_fio_size(const char* spec, uint64_t* bytes, char* message, size_t message_bytes);

/* For up to `depth` I/Os in flight. `message` takes why it did not work, or what of the spec is not in effect
 * (empty: all is). */
struct ashlar_fio_job* ashlar_fio_open(const char* spec, unsigned depth, char* message, size_t message_bytes);
/* Nothing is in flight. */
void ashlar_fio_close(struct ashlar_fio_job* job);

/* Memory from the process's regions, which devices can register; I/O works with any memory. */
void* ashlar_fio_allocate(size_t bytes);
void ashlar_fio_free(void* memory);

/* Takes one; handed to the kernel by the next ashlar_fio_turn() or ashlar_fio_wait(). `tag` comes back with
 * it. 0, or -1 where `depth` are in flight. */
int ashlar_fio_queue(struct ashlar_fio_job* job, enum ashlar_fio_op op, uint64_t offset, void* data,
                     uint64_t bytes, void* tag);
/* One turn of the shard; does not wait. */
void ashlar_fio_turn(struct ashlar_fio_job* job);
/* Waits for `least` to have completed (0: looks), and takes at most `most` of them; returns how many. */
unsigned ashlar_fio_wait(struct ashlar_fio_job* job, unsigned least, unsigned most);
/* The tag of one of those that the last ashlar_fio_wait() took, and its error as errno (0: none). */
void* ashlar_fio_completed(struct ashlar_fio_job* job, unsigned index, int* error);

#ifdef __cplusplus
}
#endif
