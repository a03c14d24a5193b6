#pragma once

/// A simulated file system with a POSIX crash model: what was not synced may be lost, every part
/// independently.

#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/runtime/ops/backend.h"
#include "ashlar/runtime/ops/sim/file_image.h"

namespace ashlar::sim {

struct DiskOptions {
  std::uint64_t capacity_bytes = std::uint64_t{1} << 40;
  std::uint64_t direct_alignment = sector_bytes;  ///< of offset, length and memory with O_DIRECT
  std::uint64_t atomic_bytes_max = 16384;         ///< of one atomic write; 0: there are none
};

/// A file or directory. Lives as long as a name, a lost name that a crash may bring back, or an open file
/// refers to it.
struct Inode {
  bool directory = false;
  FileImage image;
  std::map<std::string, std::shared_ptr<Inode>> entries;          // as the kernel shows them
  std::map<std::string, std::shared_ptr<Inode>> durable_entries;  // as they are on the medium
  std::uint64_t links = 0;
  std::uint64_t opens = 0;
  bool locked = false;
  std::string path;  ///< the name it was given last, for reports and fault rules
};

/// An open file description.
struct OpenFile {
  std::shared_ptr<Inode> inode;
  int flags = 0;
  bool holds_lock = false;
  std::uint64_t crashes = 0;  ///< of the disk when it was opened: a crash closes every file
};

/// An errno value, or what was asked for.
template <class T>
using OrErrno = std::expected<T, int>;

/// The disk of a simulated machine; it outlives the worlds that run on it, and carries what a crash left to
/// the next.
///
/// Names change as follows. A change is visible at once and durable after sync_directory of the directory
/// that holds the (new) name. At a crash each unsynced change is kept or lost by itself, but a change is lost
/// together with an earlier one to the same name, so that a rename leaves the old name or the new one, never
/// none and never both. Syncing a file does not make its name durable.
///
/// Every call is one whole step: in what order, and whether, the steps of an operation happen is the back
/// end's business. Errors are errno values. Not thread-safe.
class Disk {
 public:
  explicit Disk(const DiskOptions& options = {});

  OrErrno<std::shared_ptr<OpenFile>> open(std::string_view path, int flags);
  void close(OpenFile& file);
  OrErrno<std::uint64_t> read(const OpenFile& file, std::uint64_t offset, MutableBytes into);
  OrErrno<std::uint64_t> write(OpenFile& file, std::uint64_t offset, Bytes from, bool durable);
  /// As RWF_ATOMIC: EOPNOTSUPP without O_DIRECT, EINVAL unless a power of two of bytes, from the disk's unit
  /// up to atomic_bytes_max, at a multiple of itself.
  OrErrno<std::uint64_t> write_atomically(OpenFile& file, std::uint64_t offset, Bytes from, bool durable);
  int allocate(OpenFile& file, std::uint64_t offset, std::uint64_t length);
  int resize(OpenFile& file, std::uint64_t size);
  /// What of the range is in the file reads as zeros; `release`: its whole blocks are free again.
  int zero(OpenFile& file, std::uint64_t offset, std::uint64_t length, bool release);
  int rename(std::string_view from, std::string_view to);
  int link(std::string_view from, std::string_view to);
  int unlink(std::string_view path);
  int make_directory(std::string_view path);
  int lock(OpenFile& file);
  OrErrno<std::vector<DirectoryEntry>> list(std::string_view directory) const;
  FileSystemSpace space() const noexcept;
  std::uint64_t direct_alignment() const noexcept { return direct_alignment_; }
  std::uint64_t atomic_bytes_max() const noexcept { return atomic_bytes_max_; }

  /// Number of the latest change to any name: what a sync_directory that starts now covers.
  std::uint64_t name_changes() const noexcept { return name_changes_; }
  int sync_directory(std::string_view path, std::uint64_t up_to);

  /// Cuts power: unsynced data, sizes and names are kept or lost as the seed has it; open files are gone.
  void crash(std::uint64_t seed);
  std::uint64_t crashes() const noexcept { return crashes_; }

  // For tests: the disk seen from outside, with no world running or beside one.
  void set_capacity(std::uint64_t bytes) noexcept { capacity_bytes_ = bytes; }
  std::vector<std::string> files() const;  ///< every file's path, sorted
  std::shared_ptr<Inode> find(std::string_view path) const;
  OrErrno<std::string> contents(std::string_view path) const;
  int flip_bit(std::string_view path, std::uint64_t offset, unsigned bit);

 private:
  struct Edit {
    std::shared_ptr<Inode> directory;
    std::string name;
    std::shared_ptr<Inode> inode;  // null: the name is removed
    bool same_name(const Edit& other) const { return directory == other.directory && name == other.name; }
  };
  struct NameChange {
    std::uint64_t number;
    std::vector<Edit> edits;  // the last is the one whose directory must be synced
  };
  struct Place {
    std::shared_ptr<Inode> directory;
    std::string name;
    std::shared_ptr<Inode> inode;  // null where there is none
  };

  OrErrno<Place> walk(std::string_view path) const;
  void change(std::vector<Edit> edits);
  void apply_durably(const NameChange& change);
  void release(Inode& inode);
  void restart(Inode& inode, const std::string& path, std::set<const Inode*>& seen, Random& random);
  bool aligned(const OpenFile& file, std::uint64_t offset, const void* data,
               std::uint64_t bytes) const noexcept;
  std::uint64_t free_blocks() const noexcept;

  std::uint64_t capacity_bytes_;
  std::uint64_t direct_alignment_;
  std::uint64_t atomic_bytes_max_;
  std::shared_ptr<Inode> root_;
  std::vector<NameChange> unsynced_names_;
  std::uint64_t name_changes_ = 0;
  std::uint64_t used_blocks_ = 0;
  std::uint64_t crashes_ = 0;
};

}  // namespace ashlar::sim
