/* libashlar-fio.so: drives any spec string of Ashlar's from fio.
 *
 *   fio --name=x --ioengine=external:build/release/libashlar-fio.so --spec=uring:/dev/nvme0n1 \
 *       --rw=randread --bs=4k --iodepth=32
 *
 * Without `spec`, each job's first filename names a device or file. Each job, thread or process, has a shard
 * of its own, and opens the device by itself: several jobs on a block device need `?in-use` or `?readonly`,
 * since the first claims it. fio must be of the version, and configured as, the source tree that this was
 * built with: it has no stable interface, and checks only FIO_IOOPS_VERSION. */

#include "config-host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fio.h"
#include "optgroup.h"

#include "bench/fio/fio_job.h"

struct ashlar_options {
  void* pad; /* fio's */
  char* spec;
};

static struct fio_option options[] = {
    {
        .name = "spec",
        .lname = "Ashlar spec string",
        .help = "The device, such as uring:/dev/nvme0n1?fixed-buffers or pass(null:1GiB)",
        .category = FIO_OPT_C_ENGINE,
        .group = FIO_OPT_G_INVALID,
        .type = FIO_OPT_STR_STORE,
        .off1 = offsetof(struct ashlar_options, spec),
    },
    {.name = NULL},
};

static void spec_of(struct thread_data* td, char* spec, size_t spec_bytes) {
  const struct ashlar_options* chosen = td->eo;
  if (chosen->spec != NULL)
    snprintf(spec, spec_bytes, "%s", chosen->spec);
  else
    snprintf(spec, spec_bytes, "uring:\"%s\"", td->files[0]->file_name);
}

/* Before the jobs are started, in fio's main thread: fio wants to know the size. */
static int ashlar_setup(struct thread_data* td) {
  const struct ashlar_options* chosen = td->eo;
  char spec[4096], message[512];
  uint64_t bytes = 0;
  if (!td->files_index) {
    if (chosen->spec == NULL) {
      log_err("ashlar: say which device: --spec=…\n");
      return 1;
    }
    add_file(td, "ashlar", 0, 0);
    td->o.nr_files = td->o.nr_files ? td->o.nr_files : 1;
    td->o.open_files++;
  }
  spec_of(td, spec, sizeof spec);
  if (ashlar_fio_size(spec, &bytes, message, sizeof message) != 0) {
    log_err("ashlar: %s: %s\n", spec, message);
    return 1;
  }
  td->files[0]->real_file_size = bytes;
  return 0;
}

static int ashlar_init(struct thread_data* td) {
  char spec[4096], message[512];
  spec_of(td, spec, sizeof spec);
  td->io_ops_data = ashlar_fio_open(spec, td->o.iodepth, message, sizeof message);
  if (td->io_ops_data == NULL) {
    log_err("ashlar: %s: %s\n", spec, message);
    return 1;
  }
  if (message[0] != '\0') log_info("ashlar: %s\n", message);
  return 0;
}

static void ashlar_cleanup(struct thread_data* td) {
  if (td->io_ops_data != NULL) ashlar_fio_close(td->io_ops_data);
  td->io_ops_data = NULL;
}

static enum fio_q_status ashlar_queue(struct thread_data* td, struct io_u* io_u) {
  enum ashlar_fio_op op = ashlar_fio_read;
  fio_ro_check(td, io_u);
  switch (io_u->ddir) {
    case DDIR_READ: op = ashlar_fio_read; break;
    case DDIR_WRITE: op = ashlar_fio_write; break;
    case DDIR_TRIM: op = ashlar_fio_trim; break;
    case DDIR_SYNC:
    case DDIR_DATASYNC:
    case DDIR_SYNC_FILE_RANGE: op = ashlar_fio_flush; break;
    default: io_u->error = EINVAL; return FIO_Q_COMPLETED;
  }
  if (ashlar_fio_queue(td->io_ops_data, op, io_u->offset, io_u->xfer_buf, io_u->xfer_buflen, io_u) != 0)
    return FIO_Q_BUSY;
  return FIO_Q_QUEUED;
}

static int ashlar_commit(struct thread_data* td) {
  ashlar_fio_turn(td->io_ops_data);
  return 0;
}

static int ashlar_getevents(struct thread_data* td, unsigned int least, unsigned int most,
                            const struct timespec* fio_unused timeout) {
  return (int)ashlar_fio_wait(td->io_ops_data, least, most);
}

static struct io_u* ashlar_event(struct thread_data* td, int event) {
  int error = 0;
  struct io_u* io_u = ashlar_fio_completed(td->io_ops_data, (unsigned)event, &error);
  io_u->error = (unsigned)error;
  return io_u;
}

static int ashlar_iomem_alloc(struct thread_data* td, size_t bytes) {
  td->orig_buffer = ashlar_fio_allocate(bytes);
  return td->orig_buffer == NULL;
}

static void ashlar_iomem_free(struct thread_data* td) {
  ashlar_fio_free(td->orig_buffer);
}

static int ashlar_open_file(struct thread_data* fio_unused td, struct fio_file* fio_unused file) {
  return 0;
}
static int ashlar_close_file(struct thread_data* fio_unused td, struct fio_file* fio_unused file) {
  return 0;
}
static int ashlar_invalidate(struct thread_data* fio_unused td, struct fio_file* fio_unused file) {
  return 0;
}

struct ioengine_ops ioengine = {
    .name = "ashlar",
    .version = FIO_IOOPS_VERSION,
    .flags = FIO_RAWIO | FIO_DISKLESSIO | FIO_NOEXTEND | FIO_MEMALIGN | FIO_NO_OFFLOAD,
    .setup = ashlar_setup,
    .init = ashlar_init,
    .queue = ashlar_queue,
    .commit = ashlar_commit,
    .getevents = ashlar_getevents,
    .event = ashlar_event,
    .cleanup = ashlar_cleanup,
    .open_file = ashlar_open_file,
    .close_file = ashlar_close_file,
    .invalidate = ashlar_invalidate,
    .iomem_alloc = ashlar_iomem_alloc,
    .iomem_free = ashlar_iomem_free,
    .option_struct_size = sizeof(struct ashlar_options),
    .options = options,
};
