#pragma once

/// What goes wrong, by rule or by chance: failing file operations, and power cuts at a chosen one.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/runtime/ops/clock.h"
#include "ashlar/runtime/ops/operation.h"

namespace ashlar::sim {

/// A file operation that starts.
struct FileEvent {
  std::string_view name{};  ///< "write", "durable write", "sync", "create", "make_directory" …
  OpCode code = OpCode::nop;
  std::string_view path{};    ///< for a handle, the name its file was given last
  std::string_view target{};  ///< rename and link: the new name
  bool changes = false;       ///< whether it may change what is on the disk, or makes changes durable
};

/// What becomes of it.
struct FileVerdict {
  enum class Cut : std::uint8_t { no, before, after };
  int error = 0;               ///< errno it fails with; a failed write may have happened in part
  Cut cut = Cut::no;           ///< power goes before it happens, or after but before it is acknowledged
  bool kill = false;           ///< what goes is the process, not the power
  bool drop_unsynced = false;  ///< a failing sync also loses what it should have written (fsyncgate)
  Duration delay{};            ///< on top of the disk's latency
};

/// Matches operations by code and by a part of the path; acts on the n-th match, or on every one.
struct FaultRule {
  std::optional<OpCode> code{};
  std::string path_part{};
  std::uint64_t nth = 0;  ///< counting from 1; 0 for every one
  FileVerdict verdict{};
  std::uint64_t matches = 0;
};

/// Chances per operation that changes something; 0 for never.
struct FaultChances {
  std::uint32_t fail_one_in = 0;       ///< EIO or ENOSPC, of changing operations
  std::uint32_t fail_read_one_in = 0;  ///< EIO
  std::uint32_t slow_one_in = 0;       ///< takes up to `slow` longer
  Duration slow = std::chrono::milliseconds(50);
};

/// Counts operations by label and decides their fate. One per world; not thread-safe.
class Faults {
 public:
  explicit Faults(std::uint64_t seed) noexcept : random_(seed) {}

  void set_chances(const FaultChances& chances) noexcept { chances_ = chances; }
  void add(FaultRule rule) { rules_.push_back(std::move(rule)); }
  /// With how many operations each has met.
  const std::vector<FaultRule>& rules() const noexcept { return rules_; }
  void clear() noexcept {
    rules_.clear();
    chances_ = {};
  }
  /// Cuts power at the n-th operation that changes something, counting from 1 at the world's start.
  void cut_at(std::uint64_t nth, FileVerdict::Cut when, bool kill = false) noexcept {
    cut_at_ = nth;
    cut_ = when;
    kill_ = kill;
  }

  /// Cuts power at the n-th operation with this label, counting from 1 at the world's start.
  void cut_at(std::string label, std::uint64_t nth, FileVerdict::Cut when, bool kill = false) {
    cut_label_ = std::move(label);
    cut_at(0, when, kill);
    cut_label_at_ = nth;
  }

  /// The n-th operation with this label fails, counting from 1 at the world's start.
  void fail_at(std::string label, std::uint64_t nth, int error) {
    fail_label_ = std::move(label);
    fail_at_ = nth;
    fail_error_ = error;
  }

  /// The n-th operation that changes nothing fails: a read, an open, a listing. Counting from 1 at the
  /// world's start.
  void fail_look_at(std::uint64_t nth, int error) noexcept {
    fail_look_at_ = nth;
    fail_look_error_ = error;
  }

  FileVerdict judge(const FileEvent& event);
  /// The power was cut while this operation was the one in progress.
  void count_cut(const std::string& label) { ++cuts_[label]; }

  /// Changing operations started so far.
  std::uint64_t changing_operations() const noexcept { return changing_; }
  /// Operations by label, such as "rename wal-#.log": the name with its long numbers left out.
  const std::map<std::string, std::uint64_t>& operations() const noexcept { return operations_; }
  const std::map<std::string, std::uint64_t>& cuts() const noexcept { return cuts_; }
  /// Of them, those that were made to fail.
  const std::map<std::string, std::uint64_t>& failures() const noexcept { return failures_; }
  /// Which one fail_look_at() meant; empty: it did not come to that.
  const std::string& failed_look() const noexcept { return failed_look_; }
  static std::string label(const FileEvent& event);

 private:
  Random random_;
  FaultChances chances_;
  std::vector<FaultRule> rules_;
  std::uint64_t changing_ = 0;
  std::uint64_t cut_at_ = 0;
  std::string cut_label_;
  std::uint64_t cut_label_at_ = 0;
  FileVerdict::Cut cut_ = FileVerdict::Cut::no;
  bool kill_ = false;
  std::string fail_label_;
  std::uint64_t fail_at_ = 0;
  int fail_error_ = 0;
  std::uint64_t looks_ = 0, fail_look_at_ = 0;
  int fail_look_error_ = 0;
  std::string failed_look_;
  std::map<std::string, std::uint64_t> operations_;
  std::map<std::string, std::uint64_t> cuts_;
  std::map<std::string, std::uint64_t> failures_;
};

}  // namespace ashlar::sim
