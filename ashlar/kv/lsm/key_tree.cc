/// Insertion of a batch, step by step:
///
///  1. If it has a key that begins otherwise than all before, less is skipped from now on (half of what they
///     have in common, so that this happens a few times at most) and every node's heads are made anew.
///  2. The batch descends a level at a time, all of it, and asks for the nodes of the next level: their cache
///     misses overlap.
///  3. Each key goes into its leaf. A full node is split: in the middle, or at the end where the last key of
///  all
///     is added, so that ascending keys leave full nodes behind.

#include "ashlar/kv/lsm/key_tree.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstring>
#include <new>

#include "ashlar/base/endian.h"
#include "ashlar/kv/lsm/memtable.h"

namespace ashlar::lsm {

/// An inner node's key is the least one in or below its child; that of the first child is not looked at.
struct KeyTree::Node {
  std::uint16_t count = 0;
  bool is_leaf = true;
  Node* previous = nullptr;  // of leaves
  Node* next = nullptr;
  std::array<Head, node_keys> heads;
  std::array<MemtableKey*, node_keys> keys;
  std::array<Node*, node_keys> children;  // not there in a leaf

  void put(unsigned index, const Head& head, MemtableKey* key, Node* child) noexcept {
    const auto shift = [&](auto& array) {
      std::copy_backward(array.begin() + index, array.begin() + count, array.begin() + count + 1);
    };
    shift(heads);
    shift(keys);
    heads[index] = head;
    keys[index] = key;
    if (!is_leaf) {
      shift(children);
      children[index] = child;
    }
    ++count;
  }
};

/// The inner nodes above a leaf, the root first, and the child that was taken of each.
struct KeyTree::Path {
  std::array<Node*, height_max> nodes;
  std::array<unsigned, height_max> children;
  unsigned length = 0;
};

namespace {

constexpr std::size_t line_bytes = 64;

void prefetch(const void* begin, std::size_t bytes) noexcept {
  for (std::size_t at = 0; at < bytes; at += line_bytes)
    __builtin_prefetch(static_cast<const std::byte*>(begin) + at);
}

std::size_t common_bytes(Bytes a, Bytes b) noexcept {
  const std::size_t most = std::min(a.size(), b.size());
  return static_cast<std::size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(most), b.begin()).first - a.begin());
}

}  // namespace

KeyTree::Head KeyTree::head_of(Bytes key) const noexcept {
  std::array<std::byte, sizeof(Head)> bytes{};
  const Bytes rest = key.subspan(std::min(skip_, key.size()));
  if (!rest.empty()) std::memcpy(bytes.data(), rest.data(), std::min(rest.size(), bytes.size()));
  return {std::byteswap(load_le<std::uint64_t>(bytes.data())),
          std::byteswap(load_le<std::uint64_t>(bytes.data() + 8))};
}

int KeyTree::compare_at(const Node& node, unsigned index, const Head& head, Bytes key) noexcept {
  const auto order = node.heads[index] <=> head;
  if (order != 0) return order < 0 ? -1 : 1;
  return compare(node.keys[index]->key(), key);
}

unsigned KeyTree::child_of(const Node& node, const Head& head, Bytes key) noexcept {
  unsigned low = 1, high = node.count;  // the first of [low, high) that is above
  while (low < high) {
    const unsigned middle = (low + high) / 2;
    if (compare_at(node, middle, head, key) <= 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low - 1;
}

/// The first that is not below.
unsigned KeyTree::position_in(const Node& leaf, const Head& head, Bytes key) noexcept {
  unsigned low = 0, high = leaf.count;
  while (low < high) {
    const unsigned middle = (low + high) / 2;
    if (compare_at(leaf, middle, head, key) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

const KeyTree::Node* KeyTree::leaf_of(const Head& head, Bytes key) const noexcept {
  const Node* node = root_;
  for (unsigned level = height_; level > 0; --level) node = node->children[child_of(*node, head, key)];
  return node;
}

int KeyTree::outside(Bytes key) const noexcept {
  const Bytes start = first_->keys[0]->key().first(skip_);
  const int order = compare(key.first(std::min(skip_, key.size())), start);
  return key.size() < skip_ && order == 0 ? -1 : order;
}

KeyTree::Node* KeyTree::new_node(bool is_leaf) {
  static_assert(alignof(Node) <= 8, "as the arena aligns");
  const std::size_t bytes = is_leaf ? offsetof(Node, children) : sizeof(Node);
  auto* node = reinterpret_cast<Node*>(arena_.allocate(bytes));
  node->count = 0;
  node->is_leaf = is_leaf;
  node->previous = node->next = nullptr;
  return node;
}

void KeyTree::share_prefix(std::span<MemtableKey* const> keys) noexcept {
  const Bytes start = first_ != nullptr ? first_->keys[0]->key() : keys[0]->key();
  const bool begins = first_ == nullptr;
  std::size_t shared = begins ? start.size() : skip_;
  for (const MemtableKey* key : keys) shared = std::min(shared, common_bytes(start, key->key()));
  if (begins) {
    skip_ = shared;
  } else if (shared < skip_) {
    skip_ = shared / 2;
    remake_heads(*root_);
  }
}

void KeyTree::remake_heads(Node& node) noexcept {
  for (unsigned i = 0; i < node.count; ++i) node.heads[i] = head_of(node.keys[i]->key());
  if (node.is_leaf) return;
  for (unsigned i = 0; i < node.count; ++i) remake_heads(*node.children[i]);
}

void KeyTree::fetch_ahead(std::span<MemtableKey* const> keys) const noexcept {
  std::array<const Node*, batch_max> at;
  std::array<Head, batch_max> heads;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    at[i] = root_;
    heads[i] = head_of(keys[i]->key());
  }
  for (unsigned level = height_; level > 0; --level) {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      at[i] = at[i]->children[child_of(*at[i], heads[i], keys[i]->key())];
      prefetch(at[i], level == 1 ? offsetof(Node, children) : sizeof(Node));
    }
  }
}

void KeyTree::insert(std::span<MemtableKey* const> keys) {
  assert(keys.size() <= batch_max);
  if (keys.empty()) return;
  share_prefix(keys);
  if (root_ == nullptr) root_ = first_ = last_ = new_node(true);
  fetch_ahead(keys);
  for (MemtableKey* key : keys) insert(*key);
  ++batches_;
}

void KeyTree::insert(MemtableKey& key) {
  const Bytes bytes = key.key();
  const Head head = head_of(bytes);
  Path path;
  Node* node = root_;
  while (!node->is_leaf) {
    path.nodes[path.length] = node;
    path.children[path.length] = child_of(*node, head, bytes);
    node = node->children[path.children[path.length]];
    ++path.length;
  }
  unsigned index = position_in(*node, head, bytes);
  if (node->count == node_keys) {
    Node& right = split(*node, index);
    const unsigned left_count = node->count;
    Node* const left = node;
    if (index > left_count || right.count == 0) {
      node = &right;
      index -= left_count;
    }
    node->put(index, head, &key, nullptr);
    add_to_parent(path, *left, right);
    return;
  }
  node->put(index, head, &key, nullptr);
}

/// Moves the upper half of a full node, or nothing where `index` is behind the last key of all, to a new one
/// behind it.
KeyTree::Node& KeyTree::split(Node& node, unsigned index) {
  Node& right = *new_node(node.is_leaf);
  const unsigned stays = node.is_leaf && &node == last_ && index == node.count ? node.count : node.count / 2;
  right.count = static_cast<std::uint16_t>(node.count - stays);
  const auto move = [&](auto& from, auto& to) {
    std::copy(from.begin() + stays, from.begin() + node.count, to.begin());
  };
  move(node.heads, right.heads);
  move(node.keys, right.keys);
  if (!node.is_leaf) {
    move(node.children, right.children);
  } else {
    right.previous = &node;
    right.next = node.next;
    *(node.next != nullptr ? &node.next->previous : &last_) = &right;
    node.next = &right;
  }
  node.count = static_cast<std::uint16_t>(stays);
  return right;
}

/// `right` came to stand behind `left`, the child at the end of the path.
void KeyTree::add_to_parent(Path& path, Node& left, Node& right) {
  Node* low = &left;
  Node* high = &right;
  while (path.length > 0) {
    --path.length;
    Node* parent = path.nodes[path.length];
    unsigned index = path.children[path.length] + 1;
    Node* other = nullptr;
    if (parent->count == node_keys) {
      other = &split(*parent, index);
      if (index > parent->count) {
        index -= parent->count;
        std::swap(parent, other);  // `parent` takes it
      }
    }
    parent->put(index, high->heads[0], high->keys[0], high);
    if (other == nullptr) return;
    low = path.nodes[path.length];
    high = low == parent ? other : parent;
  }
  assert(height_ + 1 < height_max);
  Node* root = new_node(false);
  root->put(0, low->heads[0], low->keys[0], low);
  root->put(1, high->heads[0], high->keys[0], high);
  root_ = root;
  ++height_;
}

MemtableKey* KeyTree::Place::key() const noexcept {
  return node_ == nullptr ? nullptr : node_->keys[index_];
}

KeyTree::Place KeyTree::first() const noexcept {
  return {first_, 0};
}

KeyTree::Place KeyTree::last() const noexcept {
  return last_ == nullptr ? Place() : Place(last_, last_->count - 1u);
}

KeyTree::Place KeyTree::at_or_after(Bytes key) const noexcept {
  if (root_ == nullptr) return {};
  if (const int order = outside(key); order != 0) return order < 0 ? first() : Place();
  const Head head = head_of(key);
  const Node* leaf = leaf_of(head, key);
  const unsigned index = position_in(*leaf, head, key);
  if (index < leaf->count) return {leaf, index};
  return {leaf->next, 0};
}

KeyTree::Place KeyTree::before(Bytes key) const noexcept {
  const Place after = at_or_after(key);
  return after.key() == nullptr ? last() : previous(after);
}

KeyTree::Place KeyTree::next(Place place) noexcept {
  if (place.index_ + 1u < place.node_->count) return {place.node_, place.index_ + 1};
  return {place.node_->next, 0};
}

void KeyTree::fetch_after(Place place) noexcept {
  constexpr unsigned keys_ahead = 8, versions_ahead = 4;
  constexpr std::size_t fetched_bytes = 4 * line_bytes;  // a key, and mostly its version behind it
  const Node* const node = place.node_;
  if (node == nullptr) return;
  if (place.index_ == 0 && node->next != nullptr) {
    prefetch(node->next, line_bytes);
    prefetch(&node->next->keys, sizeof node->keys);
  }
  const auto ahead = [&](unsigned steps) -> MemtableKey* {
    const unsigned index = place.index_ + steps;
    if (index < node->count) return node->keys[index];
    const Node* const next = node->next;
    return next != nullptr && index - node->count < next->count ? next->keys[index - node->count] : nullptr;
  };
  if (const MemtableKey* key = ahead(keys_ahead)) prefetch(key, fetched_bytes);
  if (const MemtableKey* key = ahead(versions_ahead))
    prefetch(key->newest.load(std::memory_order_relaxed), fetched_bytes);
}

KeyTree::Place KeyTree::previous(Place place) noexcept {
  if (place.index_ > 0) return {place.node_, place.index_ - 1};
  const Node* before = place.node_->previous;
  return before == nullptr ? Place() : Place(before, before->count - 1u);
}

}  // namespace ashlar::lsm
