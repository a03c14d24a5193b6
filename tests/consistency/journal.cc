#include "tests/consistency/journal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <utility>

namespace ashlar::consistency {

namespace {

using End = ListTransaction::End;

std::string text_of(const RegisterValue& value) {
  return value ? std::to_string(*value) : "-";
}
RegisterValue value_of(const std::string& text) {
  return text == "-" ? RegisterValue() : RegisterValue(std::stoull(text));
}

ListTransaction read_transaction(std::istream& from) {
  ListTransaction transaction;
  unsigned end = 0;
  std::size_t reads = 0, appends = 0;
  from >> transaction.begun >> transaction.ended >> end >> reads;
  transaction.end = static_cast<End>(end);
  for (; reads > 0; --reads) {
    std::string key;
    std::size_t length = 0;
    from >> key >> length;
    List list(length);
    for (std::uint64_t& number : list) from >> number;
    transaction.reads[key] = std::move(list);
  }
  from >> appends;
  for (; appends > 0; --appends) {
    std::string key;
    from >> key;
    from >> transaction.appends[key];
  }
  return transaction;
}

std::pair<std::string, RegisterOperation> read_operation(std::istream& from) {
  std::string key, value, expected;
  RegisterOperation operation;
  from >> key >> operation.invoked >> operation.returned >> operation.write >> value >> operation.certain >>
      expected;
  operation.value = value_of(value);
  if (expected != "any") operation.expected = value_of(expected);
  return {key, operation};
}

}  // namespace

Journal::Journal(const std::string& path)
    : descriptor_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {
  EXPECT_GE(descriptor_, 0) << path;
}
Journal::~Journal() {
  ::close(descriptor_);
}

void Journal::append(const std::string& line) {
  EXPECT_EQ(::write(descriptor_, line.data(), line.size()), static_cast<ssize_t>(line.size()));
}

void Journal::write(std::uint64_t number, const ListTransaction& transaction) {
  std::ostringstream line;
  line << number << " transaction " << transaction.begun << ' ' << transaction.ended << ' '
       << static_cast<unsigned>(transaction.end) << ' ' << transaction.reads.size();
  for (const auto& [key, list] : transaction.reads) {
    line << ' ' << key << ' ' << list.size();
    for (const std::uint64_t each : list) line << ' ' << each;
  }
  line << ' ' << transaction.appends.size();
  for (const auto& [key, each] : transaction.appends) line << ' ' << key << ' ' << each;
  line << '\n';
  append(line.str());
}

void Journal::write(std::uint64_t number, const std::string& key, const RegisterOperation& operation) {
  std::ostringstream line;
  line << number << " register " << key << ' ' << operation.invoked << ' ' << operation.returned << ' '
       << operation.write << ' ' << text_of(operation.value) << ' ' << operation.certain << ' '
       << (operation.expected ? text_of(*operation.expected) : "any") << '\n';
  append(line.str());
}

std::size_t read_journal(const std::string& path, std::uint64_t last, ListHistory& lists,
                         RegisterHistory& registers) {
  std::ifstream file(path);
  std::map<std::uint64_t, ListTransaction> transactions;
  std::map<std::uint64_t, std::pair<std::string, RegisterOperation>> operations;
  // A last line without its end was being written: it told its caller nothing.
  for (std::string line; std::getline(file, line) && !file.eof();) {
    std::istringstream words(line);
    std::uint64_t number = 0;
    std::string kind;
    words >> number >> kind;
    if (kind == "transaction")
      transactions[number] = read_transaction(words);
    else
      operations[number] = read_operation(words);
    EXPECT_FALSE(words.fail()) << line;
  }
  std::size_t open = 0;
  for (auto& [number, transaction] : transactions) {
    if (transaction.ended == 0) transaction.ended = last;
    open += transaction.end == End::unknown ? 1 : 0;
    lists.add(std::move(transaction));
  }
  for (auto& [number, entry] : operations) {
    RegisterOperation& operation = entry.second;
    if (!operation.certain) operation.returned = last;
    open += operation.certain ? 0 : 1;
    registers.add(entry.first, operation);
  }
  return open;
}

}  // namespace ashlar::consistency
