/* The same from C. */

#include <ashlar/embed/ashlar_c.h>
#include <stdio.h>
#include <string.h>

static int failed(const ashlar_error* error) {
  printf("%s\n", error->message);
  return 1;
}

int main(int argc, char** argv) {
  ashlar_error error;
  ashlar_options* options = ashlar_options_create();
  if (ashlar_options_set(options, "kv.cache-bytes", "16MiB", &error) != ASHLAR_OK) return failed(&error);
  ashlar_db* db = ashlar_open(argc > 1 ? argv[1] : "./from-c", options, &error);
  ashlar_options_destroy(options);
  if (db == NULL) return failed(&error);

  if (ashlar_put(db, "greeting", 8, "hello", 5, ASHLAR_DURABLE, &error) != ASHLAR_OK) return failed(&error);
  ashlar_batch* batch = ashlar_batch_create();
  ashlar_batch_put(batch, "a", 1, "1", 1);
  ashlar_batch_put(batch, "b", 1, "2", 1);
  if (ashlar_write(db, batch, ASHLAR_DURABLE, &error) != ASHLAR_OK) return failed(&error);
  ashlar_batch_destroy(batch);

  char* value;
  size_t bytes;
  if (ashlar_get(db, "greeting", 8, &value, &bytes, &error) != ASHLAR_OK) return failed(&error);
  printf("greeting: %s, %zu bytes\n", value, bytes);
  ashlar_free(value);

  ashlar_iterator* it = ashlar_iterator_create(db, NULL, 0, "c", 1, NULL, &error);
  if (it == NULL) return failed(&error);
  for (int more = ashlar_iterator_seek_first(it); more; more = ashlar_iterator_next(it)) {
    const char* key = ashlar_iterator_key(it, &bytes);
    printf("%.*s\n", (int)bytes, key);
  }
  const int status = ashlar_iterator_status(it, &error);
  ashlar_iterator_destroy(it);
  if (status != ASHLAR_OK) return failed(&error);

  return ashlar_close(db, &error) == ASHLAR_OK ? 0 : failed(&error);
}
