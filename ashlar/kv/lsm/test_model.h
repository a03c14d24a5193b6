#pragma once

/// What a partition must hold: the history of every key, by the order of appends. Checks reads against it,
/// and finds out what a crash has kept.

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ashlar/kv/key.h"

namespace ashlar::lsm {

class Model {
 public:
  enum class Kind : std::uint8_t { put, erase, merge };
  struct Version {
    std::size_t step = 0;  ///< the append that wrote it, from 1
    Kind kind = Kind::put;
    std::string value;
    std::uint64_t expiry_ms = kv::no_expiry;

    bool absent(std::uint64_t now_ms) const {
      return kind == Kind::erase || (expiry_ms != kv::no_expiry && expiry_ms <= now_ms);
    }
  };
  using Contents = std::map<std::string, std::string>;

  /// Begins an append; what put(), merge(), erase() and their like do is part of it.
  std::size_t begin() { return ++steps_; }
  void put(const std::string& key, std::string value, std::uint64_t expiry_ms = kv::no_expiry) {
    set(key, {.step = steps_, .value = std::move(value), .expiry_ms = expiry_ms});
  }
  /// The operator is append with a comma.
  void merge(const std::string& key, const std::string& operand, std::uint64_t expiry_ms,
             std::uint64_t now_ms) {
    Version version{.step = steps_, .kind = Kind::merge, .value = operand, .expiry_ms = expiry_ms};
    const auto& history = keys_[key];
    if (!history.empty() && history.back().step == steps_) {  // of one append: they are one
      const Version& older = history.back();
      const bool absent = older.absent(now_ms);
      version.kind = older.kind == Kind::merge && !absent ? Kind::merge : Kind::put;
      if (!absent) version.value = older.value + "," + operand;
      if (expiry_ms == kv::no_expiry && !absent) version.expiry_ms = older.expiry_ms;
    }
    set(key, std::move(version));
  }
  void erase(const std::string& key) { set(key, {.step = steps_, .kind = Kind::erase, .value = {}}); }
  /// An empty `last`: to the end.
  void erase_range(const std::string& first, const std::string& last) {
    for (auto& [key, history] : keys_) {
      if (key >= first && (last.empty() || key < last)) erase(key);
    }
  }
  void clear() { erase_range("", ""); }

  std::size_t steps() const { return steps_; }
  void acknowledge(std::size_t step) { kept_ = std::max(kept_, step); }
  /// Someone was shown this step: it must survive as well.
  void show(std::size_t step) { kept_ = std::max(kept_, step); }

  /// The key as of a step: the newest version at or before it.
  const Version* at(const std::string& key, std::size_t step) const {
    const auto found = keys_.find(key);
    if (found == keys_.end()) return nullptr;
    const Version* result = nullptr;
    for (const Version& version : found->second) {
      if (version.step <= step) result = &version;
    }
    return result;
  }

  /// What a reader at this step and time sees of the key.
  std::optional<std::string> value_at(const std::string& key, std::size_t step, std::uint64_t now_ms) const {
    const auto found = keys_.find(key);
    if (found == keys_.end()) return std::nullopt;
    std::optional<std::string> operands;
    for (auto version = found->second.rbegin(); version != found->second.rend(); ++version) {
      if (version->step > step) continue;
      if (version->absent(now_ms)) break;
      operands = operands ? version->value + "," + *operands : version->value;
      if (version->kind == Kind::put) break;
    }
    return operands;
  }

  /// Whether a read that began after step `from` and ended before a later one than `to` may have returned
  /// this.
  bool explains(const std::string& key, const std::optional<std::string>& value, std::size_t from,
                std::size_t to, std::uint64_t began_ms, std::uint64_t ended_ms) {
    for (std::size_t step = from; step <= to; ++step) {
      const Version* version = at(key, step);
      if (version != nullptr && version->step < step && step > from) continue;  // seen at its own step
      for (const std::uint64_t now : {began_ms, ended_ms}) {
        if (value_at(key, step, now) != value) continue;
        if (version != nullptr) shown_ = version->step;
        return true;
      }
    }
    return false;
  }
  /// The step of the version that explained the last read.
  std::size_t shown() const { return shown_; }

  Contents contents(std::size_t step, std::uint64_t now_ms, const std::string& first = "",
                    const std::string& last = "") const {
    Contents result;
    for (const auto& [key, history] : keys_) {
      if (key < first || (!last.empty() && key >= last)) continue;
      if (auto value = value_at(key, step, now_ms)) result[key] = *std::move(value);
    }
    return result;
  }

  /// After a crash: finds a step, not before what was acknowledged or shown, that explains the contents, and
  /// forgets what came after it. False where there is none.
  bool recover(const Contents& found, std::uint64_t now_ms) {
    for (std::size_t step = kept_; step <= steps_; ++step) {
      if (contents(step, now_ms) != found) continue;
      for (auto& [key, history] : keys_) {
        std::erase_if(history, [&](const Version& version) { return version.step > step; });
      }
      steps_ = kept_ = step;
      return true;
    }
    return false;
  }
  std::size_t kept() const { return kept_; }

 private:
  void set(const std::string& key, Version version) {
    auto& history = keys_[key];
    if (!history.empty() && history.back().step == version.step) history.pop_back();
    history.push_back(std::move(version));
  }

  std::map<std::string, std::vector<Version>> keys_;  // by stored key
  std::size_t steps_ = 0;
  std::size_t kept_ = 0;
  std::size_t shown_ = 0;
};

}  // namespace ashlar::lsm
