#include "ashlar/runtime/ops/sim/faults.h"

#include <algorithm>
#include <cctype>
#include <cerrno>

namespace ashlar::sim {

namespace {

bool hex(char c) noexcept {
  return std::isxdigit(static_cast<unsigned char>(c)) != 0 && std::islower(c) == 0;
}

}  // namespace

// Four digits or more, upper-case hexadecimal ones among them, are a number; fewer tell kinds of files apart.
std::string Faults::label(const FileEvent& event) {
  const std::string_view path = event.target.empty() ? event.path : event.target;
  const std::string_view base = path.substr(path.rfind('/') + 1);
  std::string text(event.name);
  text += ' ';
  for (std::size_t i = 0; i < base.size();) {
    std::size_t end = i;
    bool digit = false;
    while (end < base.size() && hex(base[end]))
      digit |= std::isdigit(static_cast<unsigned char>(base[end++])) != 0;
    if (digit && end - i >= 4) {
      text += '#';
      i = end;
    } else {
      end = std::max(end, i + 1);
      text += base.substr(i, end - i);
      i = end;
    }
  }
  return text;
}

FileVerdict Faults::judge(const FileEvent& event) {
  FileVerdict verdict;
  for (FaultRule& rule : rules_) {
    if (rule.code && *rule.code != event.code) continue;
    if (event.path.find(rule.path_part) == std::string_view::npos &&
        event.target.find(rule.path_part) == std::string_view::npos) {
      continue;
    }
    if (++rule.matches == rule.nth || rule.nth == 0) verdict = rule.verdict;
  }
  if (event.changes) {
    const std::string name = label(event);
    const std::uint64_t count = ++operations_[name];
    if (++changing_ == cut_at_ || (count == cut_label_at_ && name == cut_label_)) {
      verdict.cut = cut_;
      verdict.kill = kill_;
    }
    if (chances_.fail_one_in != 0 && random_.one_in(chances_.fail_one_in)) {
      verdict.error = random_.one_in(2) ? EIO : ENOSPC;
      verdict.drop_unsynced = random_.one_in(2);
    }
    if (count == fail_at_ && name == fail_label_) verdict.error = fail_error_;
    if (verdict.error != 0) ++failures_[name];
  } else if (++looks_ == fail_look_at_) {
    verdict.error = fail_look_error_;
    failed_look_ = label(event);
  } else if (chances_.fail_read_one_in != 0 && random_.one_in(chances_.fail_read_one_in)) {
    verdict.error = EIO;
  }
  if (chances_.slow_one_in != 0 && random_.one_in(chances_.slow_one_in)) {
    verdict.delay += Duration(
        static_cast<Duration::rep>(random_.below(static_cast<std::uint64_t>(chances_.slow.count()))));
  }
  return verdict;
}

}  // namespace ashlar::sim
