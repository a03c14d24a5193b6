#include "ashlar/embed/ashlar_c.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "ashlar/base/options.h"
#include "ashlar/embed/ashlar_c_handles.h"
#include "ashlar/runtime/ops/machine_clock.h"

using namespace ashlar::c;

using ashlar::Db;
using ashlar::Errc;
using ashlar::Error;
using ashlar::Result;

namespace ashlar::c {

namespace {

// The codes of C are those of C++, one later.
static_assert(ASHLAR_IO == static_cast<int>(Errc::io) + 1 &&
              ASHLAR_NO_SPACE == static_cast<int>(Errc::no_space) + 1);
static_assert(ASHLAR_STOPPED == static_cast<int>(Errc::stopped) + 1);
static_assert(ASHLAR_NONE == static_cast<int>(Durability::none));

}  // namespace

int fill(ashlar_error* to, const Error& error, const std::string& message) noexcept {
  const int code = static_cast<int>(error.code) + 1;
  if (to == nullptr) return code;
  to->code = code;
  to->native = error.native;
  const std::size_t bytes = std::min(message.size(), sizeof to->message - 1);
  std::memcpy(to->message, message.data(), bytes);
  to->message[bytes] = '\0';
  return code;
}
int fill(ashlar_error* to, const Error& error) noexcept {
  return to == nullptr ? static_cast<int>(error.code) + 1 : fill(to, error, error.to_string());
}
int done(ashlar_error* error) noexcept {
  if (error != nullptr) *error = {};
  return ASHLAR_OK;
}
int unknown_durability(ashlar_error* error) noexcept {
  return fill(error, {.code = Errc::invalid, .where = "durability"});
}

Deadline deadline_after(std::uint64_t timeout_us) noexcept {
  if (timeout_us == 0) return no_deadline;
  const auto now = Deadline(machine_now().time_since_epoch());
  const auto left = std::chrono::duration_cast<std::chrono::microseconds>(no_deadline - now).count();
  if (timeout_us >= static_cast<std::uint64_t>(left)) return no_deadline;
  return now + std::chrono::microseconds(timeout_us);
}

void ReceiptOf::add_up() noexcept {
  to_->in_place += made_.in_place;
  to_->blocks_cached += made_.blocks_cached;
  to_->blocks_read += made_.blocks_read;
  to_->bytes_read += made_.bytes_read;
  to_->bytes_logged += made_.bytes_logged;
  to_->device_ns += static_cast<uint64_t>(made_.device_time.count());
  to_->queue_ns += static_cast<uint64_t>(made_.queue_time.count());
  to_->cycles += made_.cycles;
  made_ = {};
}

/// Where memory has run out, as `new` does: the process ends, in any language the same way.
char* copy_of(std::string_view text) {
  auto* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (copy == nullptr) std::abort();
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';
  return copy;
}

int give(const Result<std::optional<std::string>>& found, char** value, size_t* value_bytes,
         ashlar_error* error) {
  const bool there = found && *found;
  *value = there ? copy_of(**found) : nullptr;
  *value_bytes = there ? (*found)->size() : 0;
  return finish(found, error);
}

}  // namespace ashlar::c

uint32_t ashlar_c_api_version(void) {
  return ASHLAR_C_API_VERSION;
}

void ashlar_free(void* value) {
  std::free(value);
}

ashlar_options* ashlar_options_create(void) {
  return new ashlar_options;
}
void ashlar_options_destroy(ashlar_options* options) {
  delete options;
}
int ashlar_options_set(ashlar_options* options, const char* name, const char* value, ashlar_error* error) {
  ashlar::DbOptions& fields = options->options;
  ashlar::OptionSet own;
  own.add("shards", fields.shards, {.min = 1, .max = 1024});
  own.add("pin", fields.pin, {});
  own.add("drive", fields.drive, {});
  own.add("merge-operator", fields.merge_operator, {});
  own.add("memory-cap", fields.memory_cap_bytes, {.unit = ashlar::Unit::bytes});
  own.add("create", fields.create, {});
  own.add("spin", fields.spin, {.max = 1'000'000});
  if (own.find(name) == nullptr) {  // the engine's, checked when it is opened
    fields.settings.emplace_back(name, value);
    return done(error);
  }
  const auto set = own.set(name, value);
  return set ? done(error) : fill(error, {.code = Errc::invalid, .where = "option"}, set.error());
}
void ashlar_options_add_boundary(ashlar_options* options, const char* key, size_t key_bytes) {
  options->options.boundaries.emplace_back(key, key_bytes);
}

ashlar_db* ashlar_open(const char* where, const ashlar_options* options, ashlar_error* error) {
  std::string message;
  auto db = Db::open(where, options != nullptr ? options->options : ashlar::DbOptions(), &message);
  if (!db) {
    fill(error, db.error(), message);
    return nullptr;
  }
  done(error);
  return new ashlar_db{*std::move(db)};
}
int ashlar_close(ashlar_db* db, ashlar_error* error) {
  const Result<> closed = db->db.close();
  if (!closed && (closed.error().code == Errc::invalid || closed.error().code == Errc::busy))
    return fill(error, closed.error());
  delete db;
  return finish(closed, error);
}

int ashlar_get(ashlar_db* db, const char* key, size_t key_bytes, char** value, size_t* value_bytes,
               ashlar_error* error) {
  *value = nullptr;
  *value_bytes = 0;
  ashlar::PinnedValue pinned;
  const auto found = db->db.reader().get({key, key_bytes}, pinned);
  if (found && *found) {
    *value = copy_of(pinned.view());
    *value_bytes = pinned.view().size();
  }
  return finish(found, error);
}
int ashlar_multi_get(ashlar_db* db, size_t count, const char* const* keys, const size_t* key_bytes,
                     char** values, size_t* value_bytes, ashlar_error* error) {
  std::vector<std::string_view> wanted;
  for (size_t i = 0; i < count; ++i) wanted.emplace_back(keys[i], key_bytes[i]);
  std::fill_n(values, count, nullptr);
  std::fill_n(value_bytes, count, size_t{0});
  const auto found = db->db.multi_get(wanted);
  for (size_t i = 0; found && i < count; ++i) {
    const std::optional<std::string>& each = (*found)[i];
    if (!each) continue;
    values[i] = copy_of(*each);
    value_bytes[i] = each->size();
  }
  return finish(found, error);
}
int ashlar_put(ashlar_db* db, const char* key, size_t key_bytes, const char* value, size_t value_bytes,
               int durability, ashlar_error* error) {
  return ashlar_put_until(db, key, key_bytes, value, value_bytes, ashlar::no_expiry, durability, error);
}
int ashlar_put_until(ashlar_db* db, const char* key, size_t key_bytes, const char* value, size_t value_bytes,
                     uint64_t expiry_ms, int durability, ashlar_error* error) {
  if (!known(durability)) return unknown_durability(error);
  return finish(db->db.put_until({key, key_bytes}, {value, value_bytes}, expiry_ms, with(durability)), error);
}
int ashlar_erase(ashlar_db* db, const char* key, size_t key_bytes, int durability, ashlar_error* error) {
  if (!known(durability)) return unknown_durability(error);
  return finish(db->db.erase({key, key_bytes}, with(durability)), error);
}
int ashlar_compare_and_swap(ashlar_db* db, const char* key, size_t key_bytes, const char* expected,
                            size_t expected_bytes, const char* desired, size_t desired_bytes, int durability,
                            int* swapped, ashlar_error* error) {
  *swapped = 0;
  if (!known(durability)) return unknown_durability(error);
  const auto text = [](const char* begin, size_t bytes) {
    return begin != nullptr ? std::optional(std::string_view(begin, bytes)) : std::nullopt;
  };
  const auto result = db->db.compare_and_swap({key, key_bytes}, text(expected, expected_bytes),
                                              text(desired, desired_bytes), with(durability));
  if (result) *swapped = *result ? 1 : 0;
  return finish(result, error);
}

ashlar_batch* ashlar_batch_create(void) {
  return new ashlar_batch;
}
void ashlar_batch_destroy(ashlar_batch* batch) {
  delete batch;
}
void ashlar_batch_put(ashlar_batch* batch, const char* key, size_t key_bytes, const char* value,
                      size_t value_bytes) {
  batch->batch.put({key, key_bytes}, {value, value_bytes});
}
void ashlar_batch_put_until(ashlar_batch* batch, const char* key, size_t key_bytes, const char* value,
                            size_t value_bytes, uint64_t expiry_ms) {
  batch->batch.put({key, key_bytes}, {value, value_bytes}, expiry_ms);
}
void ashlar_batch_erase(ashlar_batch* batch, const char* key, size_t key_bytes) {
  batch->batch.erase({key, key_bytes});
}
void ashlar_batch_clear(ashlar_batch* batch) {
  batch->batch.clear();
}
int ashlar_write(ashlar_db* db, const ashlar_batch* batch, int durability, ashlar_error* error) {
  if (!known(durability)) return unknown_durability(error);
  return finish(db->db.write(batch->batch, with(durability)), error);
}
int ashlar_write_async(ashlar_db* db, const ashlar_batch* batch, int durability, ashlar_done on_done,
                       void* context, ashlar_error* error) {
  if (!known(durability)) return unknown_durability(error);
  return finish(db->db.write_async(batch->batch, teller(on_done, context), with(durability)), error);
}

ashlar_snapshot* ashlar_snapshot_create(ashlar_db* db, ashlar_error* error) {
  auto snapshot = db->db.snapshot();
  if (finish(snapshot, error) != ASHLAR_OK) return nullptr;
  return new ashlar_snapshot{*std::move(snapshot)};
}
void ashlar_snapshot_destroy(ashlar_snapshot* snapshot) {
  delete snapshot;
}

ashlar_reader* ashlar_reader_create(ashlar_db* db, const ashlar_snapshot* snapshot, int durability) {
  if (!known(durability)) return nullptr;
  return new ashlar_reader{db->db.reader({.durability = static_cast<ashlar::Durability>(durability),
                                          .snapshot = snapshot != nullptr ? &snapshot->snapshot : nullptr})};
}
void ashlar_reader_destroy(ashlar_reader* reader) {
  delete reader;
}
int ashlar_reader_get(ashlar_reader* reader, const char* key, size_t key_bytes, char* into, size_t into_bytes,
                      size_t* value_bytes, int* found, ashlar_error* error) {
  const auto bytes = reader->reader.get({key, key_bytes}, std::span(into, into_bytes));
  if (reader->receipt != nullptr) reader->receipt->add_up();
  *found = bytes && *bytes ? 1 : 0;
  *value_bytes = *found != 0 ? **bytes : 0;
  return bytes ? ASHLAR_OK : fill(error, bytes.error());  // a success leaves `error` alone: this path is hot
}

ashlar_iterator* ashlar_iterator_create(ashlar_db* db, const char* lower, size_t lower_bytes,
                                        const char* upper, size_t upper_bytes,
                                        const ashlar_snapshot* snapshot, ashlar_error* error) {
  auto iterator = db->db.iterate({.lower = text_of(lower, lower_bytes),
                                  .upper = text_of(upper, upper_bytes),
                                  .read = {.snapshot = snapshot != nullptr ? &snapshot->snapshot : nullptr}});
  if (finish(iterator, error) != ASHLAR_OK) return nullptr;
  return new ashlar_iterator{*std::move(iterator)};
}
void ashlar_iterator_destroy(ashlar_iterator* iterator) {
  delete iterator;
}
namespace {

int moved(ashlar_iterator* iterator, bool valid) noexcept {
  if (iterator->receipt != nullptr) iterator->receipt->add_up();
  return valid ? 1 : 0;
}

}  // namespace

int ashlar_iterator_seek_first(ashlar_iterator* iterator) {
  return moved(iterator, iterator->iterator.seek_first());
}
int ashlar_iterator_seek_last(ashlar_iterator* iterator) {
  return moved(iterator, iterator->iterator.seek_last());
}
int ashlar_iterator_seek(ashlar_iterator* iterator, const char* key, size_t key_bytes) {
  return moved(iterator, iterator->iterator.seek({key, key_bytes}));
}
int ashlar_iterator_seek_backward(ashlar_iterator* iterator, const char* key, size_t key_bytes) {
  return moved(iterator, iterator->iterator.seek_backward({key, key_bytes}));
}
int ashlar_iterator_next(ashlar_iterator* iterator) {
  return moved(iterator, iterator->iterator.next());
}
int ashlar_iterator_previous(ashlar_iterator* iterator) {
  return moved(iterator, iterator->iterator.previous());
}
int ashlar_iterator_valid(const ashlar_iterator* iterator) {
  return iterator->iterator.valid();
}
const char* ashlar_iterator_key(const ashlar_iterator* iterator, size_t* bytes) {
  *bytes = iterator->iterator.key().size();
  return iterator->iterator.key().data();
}
const char* ashlar_iterator_value(const ashlar_iterator* iterator, size_t* bytes) {
  *bytes = iterator->iterator.value().size();
  return iterator->iterator.value().data();
}
int ashlar_iterator_status(const ashlar_iterator* iterator, ashlar_error* error) {
  return finish(iterator->iterator.status(), error);
}

int ashlar_sync(ashlar_db* db, ashlar_error* error) {
  return finish(db->db.sync(), error);
}
int ashlar_flush(ashlar_db* db, ashlar_error* error) {
  return finish(db->db.flush(), error);
}
int ashlar_compact(ashlar_db* db, ashlar_error* error) {
  return finish(db->db.compact(), error);
}

int ashlar_get_stats(ashlar_db* db, ashlar_stats* stats, ashlar_error* error) {
  const auto found = db->db.stats();
  if (!found) return fill(error, found.error());
  const ashlar_stats all{.struct_bytes = std::min(stats->struct_bytes, sizeof(ashlar_stats)),
                         .partitions = found->partitions,
                         .memtable_bytes = found->memtable_bytes,
                         .memtable_entries = found->memtable_entries,
                         .table_count = found->table_count,
                         .table_bytes = found->table_bytes,
                         .table_entries = found->table_entries,
                         .log_bytes = found->log_bytes,
                         .writes = found->writes,
                         .write_bytes = found->write_bytes,
                         .reads_asked = found->reads_asked,
                         .reads_from_device = found->reads_from_device,
                         .flushes = found->flushes,
                         .compactions = found->compactions,
                         .compaction_bytes = found->compaction_bytes,
                         .stalls = found->stalls,
                         .memory_bytes = found->memory_bytes,
                         .memory_cap_bytes = found->memory_cap_bytes,
                         .log_write_bytes = found->log_write_bytes,
                         .flush_bytes = found->flush_bytes,
                         .compaction_read_bytes = found->compaction_read_bytes,
                         .compaction_debt_bytes = found->compaction_debt_bytes,
                         .delayed_writes = found->delayed_writes,
                         .failed_jobs = found->failed_jobs};
  std::memcpy(stats, &all, all.struct_bytes);
  return done(error);
}

int ashlar_checkpoint(ashlar_db* db, const char* where, ashlar_error* error) {
  return finish(db->db.checkpoint(where), error);
}

uint64_t ashlar_poll(ashlar_db* db) {
  const std::chrono::nanoseconds wait = db->db.poll();
  return wait == std::chrono::nanoseconds::max() ? UINT64_MAX : static_cast<uint64_t>(wait.count());
}
int ashlar_descriptor(ashlar_db* db, int* descriptor, ashlar_error* error) {
  const auto found = db->db.descriptor();
  *descriptor = found.value_or(-1);
  return finish(found, error);
}
