#pragma once

/// Histories that outlive their process: each operation is a line of a file before it is begun and again when
/// it has ended, so that of a killed process all is known that its callers knew.

#include <cstdint>
#include <string>

#include "tests/consistency/lists.h"
#include "tests/consistency/registers.h"

namespace ashlar::consistency {

/// One thread's. What was written to the file stays when the process is killed.
class Journal {
 public:
  /// Appends to the file; makes it.
  explicit Journal(const std::string& path);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// Of two entries with one number the later one counts.
  void write(std::uint64_t number, const ListTransaction& transaction);
  void write(std::uint64_t number, const std::string& key, const RegisterOperation& operation);

 private:
  void append(const std::string& line);

  int descriptor_;
};

/// Adds what the file says. Whatever has no end in it has ended by `last`, or never happened. How many
/// operations that are.
std::size_t read_journal(const std::string& path, std::uint64_t last, ListHistory& lists,
                         RegisterHistory& registers);

}  // namespace ashlar::consistency
