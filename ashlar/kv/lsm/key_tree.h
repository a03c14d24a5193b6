#pragma once

/// The keys of a memtable in order: a B+-tree over pointers to them.
///
/// A node holds, beside each pointer, the sixteen bytes of its key that follow what all keys of the tree
/// begin with, so that a search rarely looks at a key itself: a node is a few adjacent cache lines, where
/// each step of a skip list is another one. Keys come in batches; the nodes that a batch will touch are
/// fetched side by side.

#include <array>
#include <compare>
#include <cstdint>
#include <span>

#include "ashlar/base/bytes.h"
#include "ashlar/kv/lsm/arena.h"

namespace ashlar::lsm {

struct MemtableKey;

/// Owner shard only. Lifecycle: as long as its arena, which holds its nodes. Invariants: keys ascend, each
/// once; every key begins with the same skip_ bytes; leaves are linked in order.
class KeyTree {
 public:
  explicit KeyTree(Arena& arena) noexcept : arena_(arena) {}
  KeyTree(const KeyTree&) = delete;
  KeyTree& operator=(const KeyTree&) = delete;

  static constexpr std::size_t batch_max = 64;
  /// At most batch_max keys, none of which is there.
  void insert(std::span<MemtableKey* const> keys);

 private:
  struct Node;

 public:
  /// A place in the order; valid until the next insert().
  class Place {
   public:
    Place() noexcept = default;
    MemtableKey* key() const noexcept;  ///< null: beyond an end

   private:
    friend class KeyTree;
    Place(const Node* node, unsigned index) noexcept : node_(node), index_(index) {}
    const Node* node_ = nullptr;
    unsigned index_ = 0;
  };
  Place first() const noexcept;
  Place last() const noexcept;
  /// The first key that is not below `key`, which may be any bytes.
  Place at_or_after(Bytes key) const noexcept;
  /// The last key below it.
  Place before(Bytes key) const noexcept;
  static Place next(Place place) noexcept;
  /// A hint for a walk that goes on from here: keys and versions of its next steps, so that a flush does not
  /// wait for one key's cache misses after the other's.
  static void fetch_after(Place place) noexcept;
  static Place previous(Place place) noexcept;

  /// How many batches were inserted: places from before the last one are not valid.
  std::uint64_t batches() const noexcept { return batches_; }

 private:
  /// What is compared first: sixteen bytes of a key, big-endian, zeroes beyond its end.
  struct Head {
    std::uint64_t high = 0, low = 0;
    std::strong_ordering operator<=>(const Head&) const = default;
  };
  static constexpr unsigned node_keys = 32;
  static constexpr unsigned height_max = 16;
  struct Path;

  Head head_of(Bytes key) const noexcept;
  /// <0, 0, >0: key `index` of the node beside `key`.
  static int compare_at(const Node& node, unsigned index, const Head& head, Bytes key) noexcept;
  static unsigned child_of(const Node& node, const Head& head, Bytes key) noexcept;
  static unsigned position_in(const Node& leaf, const Head& head, Bytes key) noexcept;
  const Node* leaf_of(const Head& head, Bytes key) const noexcept;
  /// Where a key stands that does not begin as all others do: <0 below all, >0 above all, 0: it does.
  int outside(Bytes key) const noexcept;

  Node* new_node(bool is_leaf);
  void share_prefix(std::span<MemtableKey* const> keys) noexcept;
  void remake_heads(Node& node) noexcept;
  void fetch_ahead(std::span<MemtableKey* const> keys) const noexcept;
  void insert(MemtableKey& key);
  Node& split(Node& node, unsigned index);
  void add_to_parent(Path& path, Node& left, Node& right);

  Arena& arena_;
  Node* root_ = nullptr;
  Node* first_ = nullptr;  // leaves
  Node* last_ = nullptr;
  unsigned height_ = 0;  // of the root above the leaves
  std::size_t skip_ = 0;
  std::uint64_t batches_ = 0;
};

}  // namespace ashlar::lsm
