#pragma once

/// The memory of one commit group, from its first record to its write.

#include <cstdint>
#include <span>

#include "ashlar/log/format.h"
#include "ashlar/runtime/memory/buffer_pool.h"

namespace ashlar::wal {

/// Owner: a Log. Lifecycle: open (records are added), then sealed for a place and written, then opened anew.
class GroupBuffer {
 public:
  /// `memory`: whole blocks.
  explicit GroupBuffer(IoBuffer memory) noexcept : memory_(std::move(memory)) {}

  std::size_t capacity() const noexcept { return memory_.size(); }
  std::uint64_t ordinal() const noexcept { return ordinal_; }
  std::uint32_t records() const noexcept { return records_; }
  std::uint64_t first_index() const noexcept { return first_index_; }
  std::uint64_t last_index() const noexcept { return last_index_; }
  std::uint64_t last_sequence() const noexcept { return last_sequence_; }
  bool truncates() const noexcept { return truncates_; }
  /// What it occupies in a segment.
  std::uint64_t bytes() const noexcept { return blob::align_up(used_); }

  void open(std::uint64_t ordinal, std::uint64_t next_index) noexcept;
  bool fits(std::uint64_t payload) const noexcept { return record_bytes(payload) <= capacity() - used_; }
  /// Where the payload of the next record stands; it fits. The caller writes it, then commit() adds the
  /// record.
  std::byte* reserve() noexcept { return memory_.data() + used_ + record_header_bytes; }
  void commit(const RecordHeader& header, std::uint64_t index, std::uint32_t payload) noexcept;
  /// Completes every checksum for the place it is written to; returns whole blocks. Once.
  Bytes seal(std::uint64_t acknowledged, std::uint64_t session, std::uint64_t follows, Place place) noexcept;

  GroupBuffer* next = nullptr;  ///< in a queue of its owner

 private:
  IoBuffer memory_;
  std::uint64_t ordinal_ = 0;
  std::uint64_t first_index_ = 0, last_index_ = 0, last_sequence_ = 0;
  std::uint32_t used_ = group_header_bytes;
  std::uint32_t records_ = 0;
  bool truncates_ = false;
};

/// First in, first out; intrusive.
class GroupQueue {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  GroupBuffer* front() const noexcept { return first_; }
  void push(GroupBuffer& group) noexcept {
    group.next = nullptr;
    *(first_ == nullptr ? &first_ : &last_->next) = &group;
    last_ = &group;
  }
  GroupBuffer* pop() noexcept {
    GroupBuffer* group = first_;
    if (group != nullptr) first_ = group->next;
    return group;
  }

 private:
  GroupBuffer* first_ = nullptr;
  GroupBuffer* last_ = nullptr;
};

}  // namespace ashlar::wal
