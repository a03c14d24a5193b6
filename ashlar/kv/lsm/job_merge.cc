#include "ashlar/kv/lsm/job_merge.h"

#include <algorithm>
#include <bit>

namespace ashlar::lsm {

namespace {

constexpr std::size_t memory_bytes = 4u << 20;  // about what the pieces of all runs take
constexpr std::size_t piece_bytes_min = 64u << 10, piece_bytes_max = 512u << 10;

/// The key's bytes from `skip` on as a number that orders like them; short keys go before longer ones only
/// where the bytes differ, so equal heads decide nothing.
std::uint64_t head_of(Bytes key, std::size_t skip) noexcept {
  std::byte bytes[8]{};
  if (key.size() > skip) std::memcpy(bytes, key.data() + skip, std::min<std::size_t>(key.size() - skip, 8));
  return std::byteswap(load_le<std::uint64_t>(bytes));
}

std::size_t common_prefix(Bytes a, Bytes b) noexcept {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

}  // namespace

void JobMerge::add(std::vector<TableFile*> run) {
  std::erase_if(run, [&](const TableFile* table) {
    return compare(table->largest_key(), span_.first) < 0 ||
           (span_.end && compare(table->smallest_key(), *span_.end) >= 0);
  });
  if (!run.empty()) runs_.push_back(std::move(run));
}

/// What the smallest and the largest key of all begin with. A memtable does not say what is in it.
void JobMerge::find_common() noexcept {
  if (!memtables_.empty() || runs_.empty()) return;
  Bytes smallest = runs_.front().front()->smallest_key(), largest = runs_.front().back()->largest_key();
  for (const auto& run : runs_) {
    if (compare(run.front()->smallest_key(), smallest) < 0) smallest = run.front()->smallest_key();
    if (compare(run.back()->largest_key(), largest) > 0) largest = run.back()->largest_key();
  }
  common_ = common_prefix(smallest, largest);
}

Task<Result<>> JobMerge::start() {
  find_common();
  InputWindow window;
  if (!runs_.empty()) {
    const std::size_t share = memory_bytes / (window.pieces * runs_.size());
    window.piece_bytes = std::clamp(std::bit_floor(share), piece_bytes_min, piece_bytes_max);
  }
  for (Memtable* memtable : memtables_) {
    Input& input = inputs_.emplace_back(*memtable);
    std::get<Memory>(input.source).at.seek_first();
    take(input);
  }
  for (auto& run : runs_) {
    Input& input = inputs_.emplace_back(std::move(run), home_, window, span_);
    std::get<RunInput>(input.source).start();
  }
  for (Input& input : inputs_) {
    if (auto* run = std::get_if<RunInput>(&input.source)) {
      CO_TRY(co_await run->fetch());
      take_run(input, *run);
    }
  }
  build();
  co_return Result<>{};
}

bool JobMerge::before(std::size_t a, std::size_t b) const noexcept {
  const Input &left = inputs_[a], &right = inputs_[b];
  if (left.entry == nullptr || right.entry == nullptr) return left.entry != nullptr;
  if (left.head != right.head) return left.head < right.head;
  return compare_versions(*left.entry, *right.entry) < 0;
}

void JobMerge::take_run(Input& input, RunInput& run) noexcept {
  const bool there = run.state() == RunInput::State::entry;
  input.entry = there ? &run.entry() : nullptr;
  if (there) input.head = head_of(input.entry->key, common_);
}

/// After the input moved.
void JobMerge::take(Input& input) noexcept {
  if (auto* run = std::get_if<RunInput>(&input.source)) return take_run(input, *run);
  auto& memory = std::get<Memory>(input.source);
  input.entry = nullptr;
  if (!memory.at.valid()) return;
  memory.entry = memory.at.entry();
  input.entry = &memory.entry;
  input.head = head_of(memory.entry.key, common_);
}

/// Leaves are the inputs, at inputs + n; match i is between what comes up from 2i and 2i + 1.
void JobMerge::build() noexcept {
  const std::size_t count = inputs_.size();
  losers_.assign(count, 0);
  std::vector<std::size_t> winners(2 * count);
  for (std::size_t i = 0; i < count; ++i) winners[count + i] = i;
  for (std::size_t match = count; match-- > 1;) {
    const std::size_t a = winners[2 * match], b = winners[2 * match + 1];
    const bool first = before(a, b);
    winners[match] = first ? a : b;
    losers_[match] = first ? b : a;
  }
  winner_ = count > 1 ? winners[1] : 0;
}

void JobMerge::replay(std::size_t input) noexcept {
  for (std::size_t match = (inputs_.size() + input) / 2; match != 0; match /= 2) {
    if (before(losers_[match], input)) std::swap(losers_[match], input);
  }
  winner_ = input;
}

ErrorPlace JobMerge::place() const noexcept {
  const auto* run = std::get_if<RunInput>(&inputs_[winner_].source);
  return run != nullptr ? run->place() : ErrorPlace{};
}

bool JobMerge::next() {
  Input& input = inputs_[winner_];
  if (auto* run = std::get_if<RunInput>(&input.source)) {
    if (run->next() == RunInput::State::need_piece) return false;
  } else {
    std::get<Memory>(input.source).at.next();
  }
  take(input);
  replay(winner_);
  return true;
}

Task<Result<>> JobMerge::fetch() {
  Input& input = inputs_[winner_];
  CO_TRY(co_await std::get<RunInput>(input.source).fetch());
  take(input);
  replay(winner_);
  co_return Result<>{};
}

Task<> JobMerge::close() {
  for (Input& input : inputs_) {
    if (auto* run = std::get_if<RunInput>(&input.source)) co_await run->close();
  }
}

}  // namespace ashlar::lsm
