#include "tests/crash/kv_model.h"

#include <algorithm>
#include <set>
#include <utility>

namespace ashlar::crash {

namespace {

/// A stored key as one would write it.
std::string readable(const std::string& key) {
  return key.substr(kv::key_prefix_bytes, 20);
}

std::string readable(const Version& version) {
  return (version.value ? std::to_string(version.value->size()) + " bytes" : "nothing") + " of " +
         std::to_string(version.sequence.value);
}

}  // namespace

std::string difference(const State& found, const State& expected) {
  for (const auto& [key, version] : expected) {
    const auto there = found.find(key);
    if (there == found.end()) return readable(key) + " is missing, which is " + readable(version);
    if (there->second != version)
      return readable(key) + " is " + readable(there->second) + ", not " + readable(version);
  }
  for (const auto& [key, version] : found) {
    if (!expected.contains(key)) return readable(key) + " is there, " + readable(version);
  }
  return "";
}

void PartitionModel::append(Sequence sequence, std::vector<Change> changes) {
  for (const Change& change : changes) versions_[change.key].push_back({sequence, change.value});
  writes_.push_back({sequence, false, std::move(changes)});
}

void PartitionModel::clear(Sequence sequence) {
  for (auto& [key, versions] : versions_) versions.push_back({sequence, std::nullopt});
  writes_.push_back({sequence, true, {}});
}

const Version* PartitionModel::newest(const std::string& key) const {
  return at(key, kv::sequence_max);
}

const Version* PartitionModel::at(const std::string& key, Sequence sequence) const {
  const auto found = versions_.find(key);
  if (found == versions_.end()) return nullptr;
  const Version* last = nullptr;
  for (const Version& version : found->second) {
    if (version.sequence <= sequence) last = &version;
  }
  return last;
}

State PartitionModel::all_at(Sequence sequence) const {
  State all;
  for (const auto& [key, versions] : versions_) {
    const Version* version = at(key, sequence);
    if (version != nullptr && version->value) all.emplace(key, *version);
  }
  return all;
}

testing::AssertionResult PartitionModel::shown(const std::string& key,
                                               const std::optional<std::string>& value, Sequence seen,
                                               Sequence since) {
  const Version* least = at(key, since);
  if (value || seen != Sequence{}) {
    const Version* version = at(key, seen);
    // An absence may be that of a clear, whose sequence is not the key's own.
    const bool right = value ? version != nullptr && version->sequence == seen && version->value == value
                             : version == nullptr || !version->value;
    if (!right)
      return testing::AssertionFailure() << readable(key) << " was shown as it never was, at " << seen.value;
    if (least != nullptr && least->sequence > seen) {
      return testing::AssertionFailure() << readable(key) << " was shown at " << seen.value
                                         << ", older than the promised " << least->sequence.value;
    }
    promise(seen);
    return testing::AssertionSuccess();
  }
  // Nothing, and no trace of it: some state not older than the promised one must be an absence.
  if (least == nullptr || !least->value) return testing::AssertionSuccess();
  for (const Version& version : versions_.at(key)) {
    if (version.sequence >= least->sequence && !version.value) return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << readable(key) << " is missing, and was promised at "
                                     << least->sequence.value;
}

// Walks through the prefixes, counting the keys in which state and find differ.
testing::AssertionResult PartitionModel::adopt(const State& found) {
  State state = base_;
  std::set<std::string> different;
  const auto compare = [&](const std::string& key) {
    const auto here = state.find(key);
    const auto there = found.find(key);
    const bool same = (here == state.end()) == (there == found.end()) &&
                      (here == state.end() || here->second == there->second);
    same ? void(different.erase(key)) : void(different.insert(key));
  };
  for (const auto& [key, version] : state) compare(key);
  for (const auto& [key, version] : found) compare(key);

  const bool nothing_promised = writes_.empty() || writes_.front().sequence > promised_;
  bool matches = nothing_promised && different.empty();
  std::string at_promise = nothing_promised ? difference(found, state) : "";  // for the message
  for (std::size_t i = 0; i < writes_.size() && !matches; ++i) {
    const Write& write = writes_[i];
    if (write.clear) {
      const auto cleared = std::exchange(state, {});
      for (const auto& [key, version] : cleared) compare(key);
    }
    for (const Change& change : write.changes) {
      if (change.value) {
        state[change.key] = {write.sequence, change.value};
      } else {
        state.erase(change.key);
      }
      compare(change.key);
    }
    const bool promises_kept = i + 1 == writes_.size() || writes_[i + 1].sequence > promised_;
    if (promises_kept && at_promise.empty()) at_promise = difference(found, state);
    matches = promises_kept && different.empty();
  }
  if (!matches) {
    return testing::AssertionFailure()
           << "what was found is no state since the last promise (" << promised_.value << "), of "
           << writes_.size() << " writes; at the promise " << at_promise;
  }
  base_ = found;
  writes_.clear();
  versions_.clear();
  for (const auto& [key, version] : base_) versions_[key] = {version};
  promised_ = {};
  return testing::AssertionSuccess();
}

}  // namespace ashlar::crash
