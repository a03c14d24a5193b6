/// The C API as C programs use it: what is not in examples/embed/from_c.c.

#include "ashlar/embed/ashlar_c.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "ashlar/embed/test_db.h"

namespace ashlar {
namespace {

class CApiTest : public DbTest {
 protected:
  ashlar_db* open_c(ashlar_options* options = nullptr) {
    ashlar_db* db = ashlar_open(path().c_str(), options, &error_);
    EXPECT_NE(db, nullptr) << error_.message;
    ashlar_options_destroy(options);
    return db;
  }
  std::string get(ashlar_db* db, const std::string& key, ashlar_family family = 0) {
    ashlar_read_options options = ASHLAR_READ_OPTIONS;
    options.family = family;
    char* value = nullptr;
    size_t bytes = 0;
    EXPECT_EQ(ashlar_get_with(db, key.data(), key.size(), &options, &value, &bytes, &error_), ASHLAR_OK)
        << error_.message;
    return take(value, bytes);
  }
  static std::string take(char* value, size_t bytes) {
    const std::string text = value != nullptr ? std::string(value, bytes) : "(none)";
    ashlar_free(value);
    return text;
  }
  int put(ashlar_db* db, const std::string& key, const std::string& value, ashlar_family family = 0) {
    ashlar_write_options options = ASHLAR_WRITE_OPTIONS;
    options.family = family;
    return ashlar_put_with(db, key.data(), key.size(), value.data(), value.size(), 0, &options, &error_);
  }

  ashlar_error error_{};
};

int concatenate(void* context, const char* key, size_t key_bytes, const char* base, size_t base_bytes,
                size_t count, const char* const* operands, const size_t* operand_bytes, char** result,
                size_t* result_bytes) {
  if (std::string_view(key, key_bytes) == "refused") return 1;
  std::string merged = base != nullptr ? std::string(base, base_bytes) : std::string();
  for (size_t i = 0; i < count; ++i)
    merged.append(static_cast<const char*>(context)).append(operands[i], operand_bytes[i]);
  *result = static_cast<char*>(std::malloc(merged.size() + 1));
  std::memcpy(*result, merged.data(), merged.size());
  *result_bytes = merged.size();
  return 0;
}

TEST_F(CApiTest, FamiliesMergesAndRanges) {
  static char separator[] = "/";
  ashlar_options* options = ashlar_options_create();
  ashlar_options_add_merge_operator(options, "path", concatenate, separator);
  EXPECT_EQ(ashlar_options_set(options, "merge-operator", "path", &error_), ASHLAR_OK);
  ashlar_db* db = open_c(options);
  EXPECT_EQ(ashlar_c_api_version(), 2u);

  EXPECT_EQ(ashlar_merge(db, "k", 1, "a", 1, nullptr, &error_), ASHLAR_OK) << error_.message;
  EXPECT_EQ(ashlar_merge(db, "k", 1, "b", 1, nullptr, &error_), ASHLAR_OK);
  EXPECT_EQ(get(db, "k"), "/a/b");
  EXPECT_EQ(ashlar_merge(db, "refused", 7, "b", 1, nullptr, &error_), ASHLAR_OK);
  char* value = nullptr;
  size_t bytes = 0;
  EXPECT_EQ(ashlar_get(db, "refused", 7, &value, &bytes, &error_), ASHLAR_CORRUPT);

  ashlar_family numbers = 99, found_family = 99;
  int found = -1;
  EXPECT_EQ(ashlar_create_family(db, "numbers", "add64", 0, &numbers, &error_), ASHLAR_OK) << error_.message;
  EXPECT_EQ(ashlar_find_family(db, "numbers", &found_family, &found, &error_), ASHLAR_OK);
  EXPECT_EQ(found, 1);
  EXPECT_EQ(found_family, numbers);
  EXPECT_EQ(ashlar_find_family(db, "none", &found_family, &found, &error_), ASHLAR_OK);
  EXPECT_EQ(found, 0);
  EXPECT_EQ(put(db, "k", "of numbers", numbers), ASHLAR_OK);
  EXPECT_EQ(get(db, "k", numbers), "of numbers");

  ashlar_batch* batch = ashlar_batch_create();
  ashlar_batch_put_in(batch, numbers, "n", 1, "v", 1, 0);
  ashlar_batch_merge(batch, 0, "k", 1, "c", 1);
  ashlar_batch_erase_in(batch, numbers, "k", 1);
  ashlar_batch_erase_range(batch, 0, "x", 1, "y", 1);
  EXPECT_EQ(ashlar_write_with(db, batch, nullptr, &error_), ASHLAR_OK) << error_.message;
  ashlar_batch_destroy(batch);
  EXPECT_EQ(get(db, "k"), "/a/b/c");
  EXPECT_EQ(get(db, "k", numbers), "(none)");

  ashlar_read_options of_numbers = ASHLAR_READ_OPTIONS;
  ashlar_receipt receipt{};
  of_numbers.family = numbers;
  of_numbers.receipt = &receipt;
  ashlar_iterator* it = ashlar_iterator_create_with(db, nullptr, 0, nullptr, 0, &of_numbers, &error_);
  EXPECT_EQ(ashlar_iterator_seek_first(it), 1);
  EXPECT_EQ(std::string(ashlar_iterator_key(it, &bytes), bytes), "n");
  EXPECT_EQ(ashlar_iterator_next(it), 0);
  ashlar_iterator_destroy(it);
  ashlar_reader* reader = ashlar_reader_create_with(db, &of_numbers);
  char into[8];
  EXPECT_EQ(ashlar_reader_get(reader, "n", 1, into, sizeof into, &bytes, &found, &error_), ASHLAR_OK);
  EXPECT_EQ(receipt.in_place, 1u);
  ashlar_reader_destroy(reader);

  EXPECT_EQ(ashlar_erase_range(db, "", 0, "", 0, nullptr, &error_), ASHLAR_OK) << error_.message;
  EXPECT_EQ(get(db, "k"), "(none)");
  EXPECT_EQ(ashlar_drop_family(db, "numbers", &error_), ASHLAR_OK);
  EXPECT_EQ(put(db, "k", "v", numbers), ASHLAR_NOT_FOUND);
  ashlar_stats stats{};
  stats.struct_bytes = sizeof stats;
  EXPECT_EQ(ashlar_get_stats(db, &stats, &error_), ASHLAR_OK);
  EXPECT_GT(stats.log_write_bytes, 0u);
  EXPECT_EQ(ashlar_close(db, &error_), ASHLAR_OK);
}

TEST_F(CApiTest, TransactionsConflictWaitAndRollBack) {
  ashlar_options* options = ashlar_options_create();
  ashlar_options_add_boundary(options, "m", 1);
  ashlar_db* db = open_c(options);
  ashlar_transaction* first = ashlar_transaction_begin(db, nullptr, &error_);
  ashlar_transaction* second = ashlar_transaction_begin(db, nullptr, &error_);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(ashlar_transaction_put(first, 0, "a", 1, "1", 1, 0, &error_), ASHLAR_OK);
  EXPECT_EQ(ashlar_transaction_put(first, 0, "z", 1, "1", 1, 0, &error_), ASHLAR_OK);
  size_t savepoint = 0;
  EXPECT_EQ(ashlar_transaction_savepoint(first, &savepoint, &error_), ASHLAR_OK);
  EXPECT_EQ(ashlar_transaction_erase(first, 0, "z", 1, &error_), ASHLAR_OK);
  EXPECT_EQ(ashlar_transaction_roll_back_to(first, savepoint, &error_), ASHLAR_OK);
  char* value = nullptr;
  size_t bytes = 0;
  EXPECT_EQ(ashlar_transaction_get(first, 0, "z", 1, &value, &bytes, &error_), ASHLAR_OK);
  EXPECT_EQ(take(value, bytes), "1");
  ashlar_iterator* it = ashlar_transaction_iterate(first, 0, nullptr, 0, nullptr, 0, &error_);
  ASSERT_NE(it, nullptr) << error_.message;
  EXPECT_EQ(ashlar_iterator_seek_last(it), 1);
  EXPECT_EQ(std::string(ashlar_iterator_key(it, &bytes), bytes), "z");
  ashlar_iterator_destroy(it);
  EXPECT_EQ(ashlar_transaction_put(second, 0, "z", 1, "2", 1, 0, &error_), ASHLAR_OK);
  EXPECT_EQ(ashlar_transaction_commit(first, &error_), ASHLAR_OK) << error_.message;
  EXPECT_EQ(ashlar_transaction_commit(second, &error_), ASHLAR_CONFLICT);
  ashlar_transaction_destroy(first);
  ashlar_transaction_destroy(second);

  ashlar_transaction_options locks = ASHLAR_TRANSACTION_OPTIONS;
  locks.row_locks = 1;
  ashlar_transaction* holder = ashlar_transaction_begin(db, &locks, &error_);
  EXPECT_EQ(ashlar_transaction_lock(holder, 0, "z", 1, &error_), ASHLAR_OK);
  ashlar_write_options brief = ASHLAR_WRITE_OPTIONS;
  brief.timeout_us = 10'000;
  EXPECT_EQ(ashlar_put_with(db, "z", 1, "x", 1, 0, &brief, &error_), ASHLAR_TIMED_OUT);
  ashlar_transaction_rollback(holder);
  EXPECT_EQ(ashlar_put_with(db, "z", 1, "x", 1, 0, nullptr, &error_), ASHLAR_OK);
  ashlar_transaction_destroy(holder);
  locks.isolation = 17;
  EXPECT_EQ(ashlar_transaction_begin(db, &locks, &error_), nullptr);
  EXPECT_EQ(error_.code, ASHLAR_INVALID);
  EXPECT_EQ(get(db, "z"), "x");
  EXPECT_EQ(ashlar_close(db, &error_), ASHLAR_OK);
}

TEST_F(CApiTest, OptionsOfCallsAndCheckpoints) {
  ashlar_db* db = open_c();
  ashlar_receipt receipt{};
  int durable = 0;
  ashlar_write_options options = ASHLAR_WRITE_OPTIONS;
  options.receipt = &receipt;
  options.on_durable = [](void* context, int code, const char*) {
    *static_cast<int*>(context) += code == ASHLAR_OK;
  };
  options.context = &durable;
  EXPECT_EQ(ashlar_put_with(db, "k", 1, "v", 1, 0, &options, &error_), ASHLAR_OK);
  EXPECT_GT(receipt.bytes_logged, 0u);
  options.durability = 7;
  EXPECT_EQ(ashlar_put_with(db, "k", 1, "v", 1, 0, &options, &error_), ASHLAR_INVALID);
  const std::string copy = path() + "-copy";
  EXPECT_EQ(ashlar_checkpoint(db, copy.c_str(), &error_), ASHLAR_OK) << error_.message;
  EXPECT_EQ(ashlar_checkpoint(db, copy.c_str(), &error_), ASHLAR_EXISTS);
  EXPECT_EQ(ashlar_poll(db), UINT64_MAX);
  int descriptor = 0;
  EXPECT_EQ(ashlar_descriptor(db, &descriptor, &error_), ASHLAR_INVALID);
  EXPECT_EQ(ashlar_close(db, &error_), ASHLAR_OK);
  EXPECT_EQ(durable, 1);
  db = ashlar_open(copy.c_str(), nullptr, &error_);
  ASSERT_NE(db, nullptr) << error_.message;
  EXPECT_EQ(get(db, "k"), "v");
  EXPECT_EQ(ashlar_close(db, &error_), ASHLAR_OK);
  std::filesystem::remove_all(copy);
}

}  // namespace
}  // namespace ashlar
