#include "ashlar/embed/ashlar_c_options.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "ashlar/embed/ashlar_c_handles.h"

using namespace ashlar::c;

using ashlar::Errc;
using ashlar::Family;
using ashlar::Result;

namespace {

/// Options of one call, and the receipt that it fills.
template <class Options>
class Given {
 public:
  bool valid() const noexcept { return known(given_.durability); }

 protected:
  Given(const Options* given, const Options& defaults) : given_(known_part(given, defaults)) {
    if (given_.receipt != nullptr) receipt_ = std::make_unique<ReceiptOf>(given_.receipt);
  }
  ashlar::Durability durability() const noexcept {
    return static_cast<ashlar::Durability>(given_.durability);
  }
  ashlar::Receipt* receipt() const noexcept { return receipt_ != nullptr ? &receipt_->made() : nullptr; }

  Options given_;
  std::unique_ptr<ReceiptOf> receipt_;
};

class Read : public Given<ashlar_read_options> {
 public:
  explicit Read(const ashlar_read_options* given) : Given(given, ASHLAR_READ_OPTIONS) {}
  ashlar::ReadOptions options() const noexcept {
    return {.durability = durability(),
            .snapshot = given_.snapshot != nullptr ? &given_.snapshot->snapshot : nullptr,
            .deadline = deadline_after(given_.timeout_us),
            .fill_cache = given_.leave_cache == 0,
            .receipt = receipt(),
            .family = Family::of_number(given_.family)};
  }
  /// For what goes on reading with these options.
  std::unique_ptr<ReceiptOf> take_receipt() noexcept { return std::move(receipt_); }
};

class Written : public Given<ashlar_write_options> {
 public:
  explicit Written(const ashlar_write_options* given) : Given(given, ASHLAR_WRITE_OPTIONS) {}
  ashlar::WriteOptions options() const {
    ashlar::WriteOptions options{.durability = durability(),
                                 .deadline = deadline_after(given_.timeout_us),
                                 .receipt = receipt(),
                                 .family = Family::of_number(given_.family)};
    if (given_.on_durable != nullptr) options.on_durable = teller(given_.on_durable, given_.context);
    return options;
  }
};

/// A merge operator that is a function of C.
class FunctionOperator final : public ashlar::MergeOperator {
 public:
  FunctionOperator(std::string name, ashlar_merge_function merge, void* context) noexcept
      : name_(std::move(name)), merge_(merge), context_(context) {}
  std::string_view name() const noexcept override { return name_; }
  Result<> merge(std::string_view key, std::optional<std::string_view> base,
                 std::span<const std::string_view> operands, std::string& result) const override {
    std::vector<const char*> texts;
    std::vector<size_t> bytes;
    for (const std::string_view operand : operands) {
      texts.push_back(operand.data());
      bytes.push_back(operand.size());
    }
    char* made = nullptr;
    size_t made_bytes = 0;
    const char* const none = nullptr;
    const int failed =
        merge_(context_, key.data(), key.size(), base ? base->data() != nullptr ? base->data() : "" : none,
               base ? base->size() : 0, texts.size(), texts.data(), bytes.data(), &made, &made_bytes);
    if (failed == 0 && made_bytes != 0) result.assign(made, made_bytes);
    std::free(made);
    return failed == 0 ? Result<>() : ashlar::fail(Errc::corrupt, "merge: the program's operator refuses");
  }

 private:
  const std::string name_;
  const ashlar_merge_function merge_;
  void* const context_;
};

}  // namespace

int ashlar_get_with(ashlar_db* db, const char* key, size_t key_bytes, const ashlar_read_options* options,
                    char** value, size_t* value_bytes, ashlar_error* error) {
  Read read(options);
  *value = nullptr;
  *value_bytes = 0;
  if (!read.valid()) return unknown_durability(error);
  return give(db->db.reader(read.options()).get({key, key_bytes}), value, value_bytes, error);
}
int ashlar_put_with(ashlar_db* db, const char* key, size_t key_bytes, const char* value, size_t value_bytes,
                    uint64_t expiry_ms, const ashlar_write_options* options, ashlar_error* error) {
  Written write(options);
  if (!write.valid()) return unknown_durability(error);
  return finish(db->db.put_until({key, key_bytes}, {value, value_bytes}, expiry_ms, write.options()), error);
}
int ashlar_erase_with(ashlar_db* db, const char* key, size_t key_bytes, const ashlar_write_options* options,
                      ashlar_error* error) {
  Written write(options);
  if (!write.valid()) return unknown_durability(error);
  return finish(db->db.erase({key, key_bytes}, write.options()), error);
}
int ashlar_merge(ashlar_db* db, const char* key, size_t key_bytes, const char* operand, size_t operand_bytes,
                 const ashlar_write_options* options, ashlar_error* error) {
  Written write(options);
  if (!write.valid()) return unknown_durability(error);
  return finish(db->db.merge({key, key_bytes}, {operand, operand_bytes}, write.options()), error);
}
int ashlar_erase_range(ashlar_db* db, const char* lower, size_t lower_bytes, const char* upper,
                       size_t upper_bytes, const ashlar_write_options* options, ashlar_error* error) {
  Written write(options);
  if (!write.valid()) return unknown_durability(error);
  return finish(db->db.erase_range({lower, lower_bytes}, {upper, upper_bytes}, write.options()), error);
}
int ashlar_write_with(ashlar_db* db, const ashlar_batch* batch, const ashlar_write_options* options,
                      ashlar_error* error) {
  Written write(options);
  if (!write.valid()) return unknown_durability(error);
  return finish(db->db.write(batch->batch, write.options()), error);
}

ashlar_reader* ashlar_reader_create_with(ashlar_db* db, const ashlar_read_options* options) {
  Read read(options);
  if (!read.valid()) return nullptr;
  ashlar::Reader reader = db->db.reader(read.options());
  return new ashlar_reader{std::move(reader), read.take_receipt()};
}
ashlar_iterator* ashlar_iterator_create_with(ashlar_db* db, const char* lower, size_t lower_bytes,
                                             const char* upper, size_t upper_bytes,
                                             const ashlar_read_options* options, ashlar_error* error) {
  Read read(options);
  if (!read.valid()) {
    unknown_durability(error);
    return nullptr;
  }
  auto iterator = db->db.iterate(
      {.lower = text_of(lower, lower_bytes), .upper = text_of(upper, upper_bytes), .read = read.options()});
  if (finish(iterator, error) != ASHLAR_OK) return nullptr;
  return new ashlar_iterator{*std::move(iterator), read.take_receipt()};
}

void ashlar_batch_put_in(ashlar_batch* batch, ashlar_family family, const char* key, size_t key_bytes,
                         const char* value, size_t value_bytes, uint64_t expiry_ms) {
  batch->batch.put({key, key_bytes}, {value, value_bytes}, expiry_ms, Family::of_number(family));
}
void ashlar_batch_erase_in(ashlar_batch* batch, ashlar_family family, const char* key, size_t key_bytes) {
  batch->batch.erase({key, key_bytes}, Family::of_number(family));
}
void ashlar_batch_merge(ashlar_batch* batch, ashlar_family family, const char* key, size_t key_bytes,
                        const char* operand, size_t operand_bytes) {
  batch->batch.merge({key, key_bytes}, {operand, operand_bytes}, Family::of_number(family));
}
void ashlar_batch_erase_range(ashlar_batch* batch, ashlar_family family, const char* lower,
                              size_t lower_bytes, const char* upper, size_t upper_bytes) {
  batch->batch.erase_range({lower, lower_bytes}, {upper, upper_bytes}, Family::of_number(family));
}

int ashlar_create_family(ashlar_db* db, const char* name, const char* merge_operator, uint64_t ttl_ms,
                         ashlar_family* family, ashlar_error* error) {
  const auto made =
      db->db.create_family(name, {.merge_operator = merge_operator != nullptr ? merge_operator : "",
                                  .ttl = std::chrono::milliseconds(static_cast<std::int64_t>(ttl_ms))});
  if (made) *family = made->number();
  return finish(made, error);
}
int ashlar_drop_family(ashlar_db* db, const char* name, ashlar_error* error) {
  return finish(db->db.drop_family(name), error);
}
int ashlar_find_family(ashlar_db* db, const char* name, ashlar_family* family, int* found,
                       ashlar_error* error) {
  const auto there = db->db.family(name);
  *found = there && *there ? 1 : 0;
  if (*found != 0) *family = (*there)->number();
  return finish(there, error);
}

void ashlar_options_add_merge_operator(ashlar_options* options, const char* name, ashlar_merge_function merge,
                                       void* context) {
  options->options.merge_operators.push_back(std::make_shared<FunctionOperator>(name, merge, context));
}
