#include "ashlar/kv/lsm/operands.h"

#include "ashlar/base/endian.h"

namespace ashlar::lsm {

namespace {

/// Takes the first operand off a list; false where there is none.
bool take_operand(Bytes& list, Bytes& operand) noexcept {
  std::uint64_t bytes = 0;
  const std::byte* const end = list.data() + list.size();
  const std::byte* at = list.empty() ? nullptr : load_varint(list.data(), end, bytes);
  if (at == nullptr || bytes > static_cast<std::uint64_t>(end - at)) return false;
  operand = {at, static_cast<std::size_t>(bytes)};
  list = {at + bytes, static_cast<std::size_t>(end - at) - operand.size()};
  return true;
}

}  // namespace

void append_operand(std::vector<std::byte>& list, Bytes operand) {
  std::byte length[varint_size_max];
  list.insert(list.end(), length, store_varint(length, operand.size()));
  list.insert(list.end(), operand.begin(), operand.end());
}

std::size_t operand_bytes(Bytes operand) noexcept {
  std::byte length[varint_size_max];
  return static_cast<std::size_t>(store_varint(length, operand.size()) - length) + operand.size();
}

bool is_operand_list(Bytes list) noexcept {
  if (list.empty()) return false;
  Bytes operand;
  while (!list.empty()) {
    if (!take_operand(list, operand)) return false;
  }
  return true;
}

void Operands::clear() noexcept {
  bytes_.clear();
  lists_.clear();
}

void Operands::add(Bytes list) {
  lists_.push_back({bytes_.size(), list.size()});
  bytes_.insert(bytes_.end(), list.begin(), list.end());
}

bool Operands::collect(std::vector<Bytes>& operands) const {
  for (std::size_t i = 0; i < lists_.size(); ++i) {
    const List& at = lists_[walk_ == Walk::newest_first ? lists_.size() - 1 - i : i];
    Bytes list = Bytes(bytes_).subspan(at.offset, at.bytes);
    do {
      if (!take_operand(list, operands.emplace_back())) return false;
    } while (!list.empty());
  }
  return true;
}

Result<> Operands::merge(const kv::MergeOperator* by, Bytes stored_key, std::optional<Bytes> base,
                         std::vector<std::byte>& result) const {
  if (by == nullptr) return fail(Errc::unsupported, "merge: no operator for keys of this type");
  std::vector<Bytes> operands;
  if (!collect(operands)) return fail(Errc::corrupt, "merge operands");
  result.clear();
  TRY(by->merge(kv::user_key_of_stored(stored_key), base, operands, result));
  if (result.size() > kv::value_bytes_max) return fail(Errc::too_large, "merged value");
  return {};
}

/// From the oldest on, each is combined with what the ones before became.
void Operands::combine(const kv::MergeOperator* by, Bytes stored_key, std::vector<std::byte>& result) const {
  result.clear();
  std::vector<Bytes> operands;
  if (by == nullptr || !collect(operands)) {
    for (std::size_t i = 0; i < lists_.size(); ++i) {
      const List& at = lists_[walk_ == Walk::newest_first ? lists_.size() - 1 - i : i];
      result.insert(result.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(at.offset),
                    bytes_.begin() + static_cast<std::ptrdiff_t>(at.offset + at.bytes));
    }
    return;
  }
  std::vector<std::byte> open, next;
  open.assign(operands.front().begin(), operands.front().end());
  for (const Bytes operand : std::span(operands).subspan(1)) {
    next.clear();
    if (by->combine(kv::user_key_of_stored(stored_key), open, operand, next)) {
      open.swap(next);
    } else {
      append_operand(result, open);
      open.assign(operand.begin(), operand.end());
    }
  }
  append_operand(result, open);
}

}  // namespace ashlar::lsm
