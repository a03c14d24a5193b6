#include "ashlar/runtime/ops/sim/disk.h"

#include <fcntl.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <functional>

namespace ashlar::sim {

namespace {

bool writable(const OpenFile& file) noexcept {
  return (file.flags & O_ACCMODE) != O_RDONLY;
}
bool readable(const OpenFile& file) noexcept {
  return (file.flags & O_ACCMODE) != O_WRONLY;
}

}  // namespace

Disk::Disk(const DiskOptions& options)
    : capacity_bytes_(options.capacity_bytes),
      direct_alignment_(options.direct_alignment),
      atomic_bytes_max_(options.atomic_bytes_max),
      root_(std::make_shared<Inode>()) {
  root_->directory = true;
  root_->links = 1;
}

// Relative paths start at the root, the working directory of a simulated machine.
OrErrno<Disk::Place> Disk::walk(std::string_view path) const {
  Place place{nullptr, "", root_};
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    if (name.empty() || name == ".") continue;
    if (name == "..") return std::unexpected(EINVAL);
    if (place.inode == nullptr) return std::unexpected(ENOENT);
    if (!place.inode->directory) return std::unexpected(ENOTDIR);
    place.directory = place.inode;
    place.name = name;
    const auto found = place.directory->entries.find(place.name);
    place.inode = found == place.directory->entries.end() ? nullptr : found->second;
  }
  return place;
}

void Disk::change(std::vector<Edit> edits) {
  for (const Edit& edit : edits) {
    if (edit.inode != nullptr) {
      edit.directory->entries[edit.name] = edit.inode;
    } else {
      edit.directory->entries.erase(edit.name);
    }
  }
  unsynced_names_.push_back({++name_changes_, std::move(edits)});
}

OrErrno<std::shared_ptr<OpenFile>> Disk::open(std::string_view path, int flags) {
  auto place = walk(path);
  if (!place) return std::unexpected(place.error());
  auto file = std::make_shared<OpenFile>(OpenFile{place->inode, flags, false, crashes_});
  if (file->inode == nullptr) {
    if ((flags & O_CREAT) == 0) return std::unexpected(ENOENT);
    file->inode = std::make_shared<Inode>();
    file->inode->path = path;
    file->inode->links = 1;
    change({{place->directory, place->name, file->inode}});
  } else if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) {
    return std::unexpected(EEXIST);
  } else if (file->inode->directory && (writable(*file) || (flags & O_CREAT) != 0)) {
    return std::unexpected(EISDIR);
  } else if (!file->inode->directory && (flags & O_DIRECTORY) != 0) {
    return std::unexpected(ENOTDIR);
  } else if ((flags & O_TRUNC) != 0 && writable(*file) && file->inode->image.size() != 0) {
    resize(*file, 0);
  }
  ++file->inode->opens;
  return file;
}

void Disk::close(OpenFile& file) {
  if (file.crashes != crashes_) return;
  if (file.holds_lock) file.inode->locked = false;
  file.holds_lock = false;
  --file.inode->opens;
  release(*file.inode);
}

// The blocks of a file without names and users are free at once, though a crash may yet bring its name back.
void Disk::release(Inode& inode) {
  if (inode.links == 0 && inode.opens == 0) used_blocks_ -= inode.image.blocks();
}

bool Disk::aligned(const OpenFile& file, std::uint64_t offset, const void* data,
                   std::uint64_t bytes) const noexcept {
  if ((file.flags & O_DIRECT) == 0) return true;
  return (offset | bytes | reinterpret_cast<std::uintptr_t>(data)) % direct_alignment_ == 0;
}

OrErrno<std::uint64_t> Disk::read(const OpenFile& file, std::uint64_t offset, MutableBytes into) {
  if (!readable(file)) return std::unexpected(EBADF);
  if (file.inode->directory) return std::unexpected(EISDIR);
  if (!aligned(file, offset, into.data(), into.size())) return std::unexpected(EINVAL);
  const std::uint64_t size = file.inode->image.size();
  const std::uint64_t bytes = offset >= size ? 0 : std::min<std::uint64_t>(into.size(), size - offset);
  file.inode->image.read(offset, into.first(bytes));
  return bytes;
}

OrErrno<std::uint64_t> Disk::write(OpenFile& file, std::uint64_t offset, Bytes from, bool durable) {
  if (!writable(file)) return std::unexpected(EBADF);
  if (!aligned(file, offset, from.data(), from.size())) return std::unexpected(EINVAL);
  FileImage& image = file.inode->image;
  const std::uint64_t before = image.blocks();
  if (image.blocks_missing(offset, from.size()) > free_blocks()) {
    // As the kernel does: what still finds room is written, and the rest fails.
    std::uint64_t fits = from.size();
    while (fits != 0 && image.blocks_missing(offset, fits) > free_blocks()) {
      const std::uint64_t last = (offset + fits - 1) / block_bytes * block_bytes;
      fits = last > offset ? last - offset : 0;
    }
    if (fits != 0) image.write(offset, from.first(fits), false);
    used_blocks_ += image.blocks() - before;
    return std::unexpected(ENOSPC);
  }
  image.write(offset, from, durable);
  used_blocks_ += image.blocks() - before;
  return from.size();
}

OrErrno<std::uint64_t> Disk::write_atomically(OpenFile& file, std::uint64_t offset, Bytes from,
                                              bool durable) {
  if (!writable(file)) return std::unexpected(EBADF);
  if ((file.flags & O_DIRECT) == 0 || atomic_bytes_max_ == 0) return std::unexpected(EOPNOTSUPP);
  const bool whole = std::has_single_bit(from.size()) && from.size() >= direct_alignment_ &&
                     from.size() <= atomic_bytes_max_ && offset % from.size() == 0;
  if (!whole || !aligned(file, offset, from.data(), from.size())) return std::unexpected(EINVAL);
  FileImage& image = file.inode->image;
  const std::uint64_t before = image.blocks();
  if (image.blocks_missing(offset, from.size()) > free_blocks()) return std::unexpected(ENOSPC);
  image.write(offset, from, durable, true);
  used_blocks_ += image.blocks() - before;
  return from.size();
}

int Disk::allocate(OpenFile& file, std::uint64_t offset, std::uint64_t length) {
  if (!writable(file)) return EBADF;
  if (length == 0) return EINVAL;
  FileImage& image = file.inode->image;
  if (image.blocks_missing(offset, length) > free_blocks()) return ENOSPC;
  const std::uint64_t before = image.blocks();
  image.allocate(offset, length);
  used_blocks_ += image.blocks() - before;
  return 0;
}

int Disk::resize(OpenFile& file, std::uint64_t size) {
  if (!writable(file)) return EBADF;
  const std::uint64_t before = file.inode->image.blocks();
  file.inode->image.resize(size);
  used_blocks_ -= before - file.inode->image.blocks();
  return 0;
}

int Disk::zero(OpenFile& file, std::uint64_t offset, std::uint64_t length, bool release) {
  if (!writable(file)) return EBADF;
  if (length == 0) return EINVAL;
  FileImage& image = file.inode->image;
  if (!release && image.blocks_missing(offset, length) > free_blocks()) return ENOSPC;
  const std::uint64_t before = image.blocks();
  image.zero(offset, length, release);
  used_blocks_ += image.blocks() - before;
  return 0;
}

int Disk::rename(std::string_view from, std::string_view to) {
  const auto source = walk(from);
  const auto target = walk(to);
  if (!source) return source.error();
  if (!target) return target.error();
  if (source->inode == nullptr) return ENOENT;
  if (source->directory == nullptr || target->directory == nullptr) return EBUSY;
  if (source->inode == target->inode) return 0;
  if (target->inode != nullptr) {
    if (target->inode->directory && !source->inode->directory) return EISDIR;
    if (!target->inode->directory && source->inode->directory) return ENOTDIR;
    if (!target->inode->entries.empty()) return ENOTEMPTY;
    --target->inode->links;
    release(*target->inode);
  }
  source->inode->path = to;
  change({{source->directory, source->name, nullptr}, {target->directory, target->name, source->inode}});
  return 0;
}

int Disk::link(std::string_view from, std::string_view to) {
  const auto source = walk(from);
  const auto target = walk(to);
  if (!source) return source.error();
  if (!target) return target.error();
  if (source->inode == nullptr) return ENOENT;
  if (target->inode != nullptr) return EEXIST;
  if (source->inode->directory) return EPERM;
  ++source->inode->links;
  source->inode->path = to;
  change({{target->directory, target->name, source->inode}});
  return 0;
}

int Disk::unlink(std::string_view path) {
  const auto place = walk(path);
  if (!place) return place.error();
  if (place->inode == nullptr) return ENOENT;
  if (place->inode->directory) return EISDIR;
  --place->inode->links;
  release(*place->inode);
  change({{place->directory, place->name, nullptr}});
  return 0;
}

int Disk::make_directory(std::string_view path) {
  const auto place = walk(path);
  if (!place) return place.error();
  if (place->inode != nullptr) return EEXIST;
  auto inode = std::make_shared<Inode>();
  inode->directory = true;
  inode->links = 1;
  inode->path = path;
  change({{place->directory, place->name, std::move(inode)}});
  return 0;
}

int Disk::lock(OpenFile& file) {
  if (file.inode->locked) return EWOULDBLOCK;
  file.inode->locked = true;
  file.holds_lock = true;
  return 0;
}

OrErrno<std::vector<DirectoryEntry>> Disk::list(std::string_view directory) const {
  const auto place = walk(directory);
  if (!place) return std::unexpected(place.error());
  if (place->inode == nullptr) return std::unexpected(ENOENT);
  if (!place->inode->directory) return std::unexpected(ENOTDIR);
  std::vector<DirectoryEntry> entries;
  for (const auto& [name, inode] : place->inode->entries) {
    entries.push_back({name, inode->directory, inode->image.size()});
  }
  return entries;
}

std::uint64_t Disk::free_blocks() const noexcept {
  const std::uint64_t total = capacity_bytes_ / block_bytes;
  return total > used_blocks_ ? total - used_blocks_ : 0;
}

FileSystemSpace Disk::space() const noexcept {
  return {free_blocks() * block_bytes, capacity_bytes_};
}

void Disk::apply_durably(const NameChange& change) {
  for (const Edit& edit : change.edits) {
    if (edit.inode != nullptr) {
      edit.directory->durable_entries[edit.name] = edit.inode;
    } else {
      edit.directory->durable_entries.erase(edit.name);
    }
  }
}

// A change that becomes durable takes the earlier ones to the same names along.
int Disk::sync_directory(std::string_view path, std::uint64_t up_to) {
  const auto place = walk(path);
  if (!place) return place.error();
  if (place->inode == nullptr) return ENOENT;
  if (!place->inode->directory) return ENOTDIR;
  std::vector<bool> synced(unsynced_names_.size());
  std::vector<const Edit*> names;
  for (std::size_t i = unsynced_names_.size(); i-- > 0;) {
    const NameChange& change = unsynced_names_[i];
    const bool here = change.number <= up_to && change.edits.back().directory == place->inode;
    const bool needed = std::ranges::any_of(change.edits, [&](const Edit& edit) {
      return std::ranges::any_of(names, [&](const Edit* name) { return name->same_name(edit); });
    });
    if (!here && !needed) continue;
    synced[i] = true;
    for (const Edit& edit : change.edits) names.push_back(&edit);
  }
  std::vector<NameChange> left;
  for (std::size_t i = 0; i < unsynced_names_.size(); ++i) {
    if (synced[i]) {
      apply_durably(unsynced_names_[i]);
    } else {
      left.push_back(std::move(unsynced_names_[i]));
    }
  }
  unsynced_names_ = std::move(left);
  return 0;
}

void Disk::crash(std::uint64_t seed) {
  Random random(seed);
  const std::uint64_t keep_percent[] = {0, 100, 50, 50};
  const std::uint64_t percent = keep_percent[random.below(std::size(keep_percent))];
  std::vector<Edit> lost;
  for (const NameChange& change : unsynced_names_) {
    const bool after_lost = std::ranges::any_of(change.edits, [&](const Edit& edit) {
      return std::ranges::any_of(lost, [&](const Edit& other) { return other.same_name(edit); });
    });
    if (!after_lost && random.below(100) < percent) {
      apply_durably(change);
    } else {
      lost.insert(lost.end(), change.edits.begin(), change.edits.end());
    }
  }
  unsynced_names_.clear();
  used_blocks_ = 0;
  ++crashes_;
  std::set<const Inode*> seen;
  restart(*root_, "", seen, random);
}

// In the order of the names; a file with several is settled at the first.
void Disk::restart(Inode& inode, const std::string& path, std::set<const Inode*>& seen, Random& random) {
  inode.entries = inode.durable_entries;
  for (const auto& [name, child] : inode.entries) {
    const std::string child_path = path + "/" + name;
    child->path = child_path;
    if (!seen.insert(child.get()).second) {
      ++child->links;
      continue;
    }
    child->links = 1;
    child->opens = 0;
    child->locked = false;
    child->image.crash(random);
    used_blocks_ += child->image.blocks();
    restart(*child, child_path, seen, random);
  }
}

std::shared_ptr<Inode> Disk::find(std::string_view path) const {
  const auto place = walk(path);
  return place ? place->inode : nullptr;
}

std::vector<std::string> Disk::files() const {
  std::vector<std::string> found;
  const std::function<void(const Inode&, const std::string&)> visit = [&](const Inode& inode,
                                                                          const std::string& path) {
    for (const auto& [name, child] : inode.entries) {
      if (child->directory) {
        visit(*child, path + "/" + name);
      } else {
        found.push_back(path + "/" + name);
      }
    }
  };
  visit(*root_, "");
  return found;
}

OrErrno<std::string> Disk::contents(std::string_view path) const {
  const auto inode = find(path);
  if (inode == nullptr) return std::unexpected(ENOENT);
  if (inode->directory) return std::unexpected(EISDIR);
  std::string bytes(inode->image.size(), '\0');
  inode->image.read(0, {reinterpret_cast<std::byte*>(bytes.data()), bytes.size()});
  return bytes;
}

int Disk::flip_bit(std::string_view path, std::uint64_t offset, unsigned bit) {
  const auto inode = find(path);
  if (inode == nullptr) return ENOENT;
  if (offset >= inode->image.size()) return EINVAL;
  inode->image.flip(offset, static_cast<std::uint8_t>(1u << bit % 8));
  return 0;
}

}  // namespace ashlar::sim
