#pragma once

/* What the C API (ashlar_c.h) is made of: codes, options, handles. */

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define ASHLAR_API __attribute__((visibility("default")))
#else
#define ASHLAR_API
#endif

/* Grows with each addition; what it has once had stays as it was. */
#define ASHLAR_C_API_VERSION 2

enum ashlar_code {
  ASHLAR_OK = 0,
  ASHLAR_IO = 1,          /* the device or kernel failed the operation */
  ASHLAR_CORRUPT = 2,     /* stored bytes do not match their checksum or format */
  ASHLAR_INVALID = 3,     /* an argument is wrong, or the call may not be made from here */
  ASHLAR_UNSUPPORTED = 4, /* this kernel, device, build or database cannot do it */
  ASHLAR_NOT_FOUND = 5,   /* a path or device does not exist */
  ASHLAR_EXISTS = 6,
  ASHLAR_BUSY = 7, /* it is open elsewhere, or held by this thread */
  ASHLAR_PERMISSION = 8,
  ASHLAR_NO_SPACE = 9,
  ASHLAR_NO_MEMORY = 10, /* the memory cap is reached */
  ASHLAR_TOO_LARGE = 11, /* a key beyond 65,532 bytes, a value beyond 16 MiB */
  ASHLAR_TIMED_OUT = 12,
  ASHLAR_CANCELLED = 13,
  ASHLAR_CLOSED = 14,
  ASHLAR_CONFLICT = 15,
  ASHLAR_STOPPED = 16 /* a write of the log failed: open it again */
};

typedef struct ashlar_error {
  int code;          /* of ashlar_code */
  int native;        /* errno, or the device's status; 0 where there is none */
  char message[504]; /* one line, ended by a zero */
} ashlar_error;

/* When a write is acknowledged. */
enum ashlar_durability {
  ASHLAR_DURABLE = 0,  /* once it survives power loss */
  ASHLAR_PERIODIC = 1, /* at once; durable within the sync period */
  ASHLAR_NONE = 2      /* at once; durable some time later */
};

/* What operations cost: those whose options name it add to it. Set all of it to zero before. */
typedef struct ashlar_receipt {
  uint64_t in_place;      /* look-ups that memory answered in the calling thread; all else is of others */
  uint64_t blocks_cached; /* of tables, found in memory */
  uint64_t blocks_read;   /* from the device */
  uint64_t bytes_read;    /* of those */
  uint64_t bytes_logged;
  uint64_t device_ns; /* suspended until blocks were read */
  uint64_t queue_ns;  /* suspended otherwise: for durability, locks, its turn to run */
  uint64_t cycles;    /* of the shard's CPU */
} ashlar_receipt;

/* A column family, by number. 0: the one that every database has. */
typedef uint32_t ashlar_family;

typedef struct ashlar_db ashlar_db;
typedef struct ashlar_options ashlar_options;
typedef struct ashlar_batch ashlar_batch;
typedef struct ashlar_snapshot ashlar_snapshot;
typedef struct ashlar_reader ashlar_reader;
typedef struct ashlar_iterator ashlar_iterator;
typedef struct ashlar_transaction ashlar_transaction;

/* Begin with `= ASHLAR_READ_OPTIONS`; a library that is newer takes what it has not for what it was before.
 */
typedef struct ashlar_read_options {
  size_t struct_bytes;
  int durability;  /* as in ashlar_reader_create() */
  int leave_cache; /* 1: what is read from the device does not take the place of cached data */
  const ashlar_snapshot* snapshot; /* NULL: the newest state */
  uint64_t timeout_us;             /* ASHLAR_TIMED_OUT after so long; 0: never */
  ashlar_receipt* receipt;         /* may be NULL; outlives what is made with these options */
  ashlar_family family;
} ashlar_read_options;

/* Called once, on a thread of the database. It must be short, and make no call that waits. */
typedef void (*ashlar_done)(void* context, int code, const char* message);

/* Begin with `= ASHLAR_WRITE_OPTIONS`. */
typedef struct ashlar_write_options {
  size_t struct_bytes;
  int durability;
  ashlar_family family; /* of what is no batch; its entries have their own */
  uint64_t
      timeout_us; /* ASHLAR_TIMED_OUT after so long: the write may have been made all the same; 0: never */
  ashlar_receipt* receipt;
  /* When the write survives power loss, whatever its durability, or never will; not where nothing was done.
   */
  ashlar_done on_durable;
  void* context;
} ashlar_write_options;

#define ASHLAR_READ_OPTIONS {sizeof(ashlar_read_options), 0, 0, NULL, 0, NULL, 0}
#define ASHLAR_WRITE_OPTIONS {sizeof(ashlar_write_options), 0, 0, 0, NULL, NULL, NULL}
