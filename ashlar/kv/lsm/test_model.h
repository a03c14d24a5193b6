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
  struct Version {
    std::size_t step = 0;              ///< the append that wrote it, from 1
    std::optional<std::string> value;  ///< nothing: erased
    std::uint64_t expiry_ms = kv::no_expiry;

    bool present(std::uint64_t now_ms) const {
      return value.has_value() && (expiry_ms == kv::no_expiry || expiry_ms > now_ms);
    }
  };
  using Contents = std::map<std::string, std::string>;

  /// Begins an append; what put(), erase() and clear() do is part of it.
  std::size_t begin() { return ++steps_; }
  void put(const std::string& key, std::string value, std::uint64_t expiry_ms = kv::no_expiry) {
    set(key, {.step = steps_, .value = std::move(value), .expiry_ms = expiry_ms});
  }
  void erase(const std::string& key) { set(key, {.step = steps_, .value = {}}); }
  void clear() {
    for (auto& [key, history] : keys_) set(key, {.step = steps_, .value = {}});
  }

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

  /// Whether a read that began after step `from` and ended before a later one than `to` may have returned
  /// this.
  bool explains(const std::string& key, const std::optional<std::string>& value, std::size_t from,
                std::size_t to, std::uint64_t began_ms, std::uint64_t ended_ms) {
    for (std::size_t step = from; step <= to; ++step) {
      const Version* version = at(key, step);
      if (version != nullptr && version->step < step && step > from) continue;  // seen at its own step
      for (const std::uint64_t now : {began_ms, ended_ms}) {
        const bool present = version != nullptr && version->present(now);
        if (present == value.has_value() && (!present || *version->value == *value)) {
          if (version != nullptr) shown_ = version->step;
          return true;
        }
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
      const Version* version = at(key, step);
      if (version != nullptr && version->present(now_ms)) result[key] = *version->value;
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
