/// The crash model: what must survive a power cut, and what must be able not to.

#include "ashlar/runtime/ops/sim/disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <utility>

namespace ashlar::sim {
namespace {

constexpr int read_write = O_RDWR | O_CREAT;

Bytes bytes_of(const std::string& text) {
  return as_bytes(text);
}

class DiskTest : public testing::Test {
 protected:
  std::shared_ptr<OpenFile> open(std::string_view path, int flags = read_write) {
    auto file = disk.open(path, flags);
    EXPECT_TRUE(file.has_value()) << path;
    return *file;
  }
  void create_durably(std::string_view path, const std::string& text) {
    const auto file = open(path);
    ASSERT_TRUE(disk.write(*file, 0, bytes_of(text), true));
    disk.close(*file);
    ASSERT_EQ(disk.sync_directory("/", disk.name_changes()), 0);
  }
  std::string read(std::string_view path) { return disk.contents(path).value_or("(none)"); }

  Disk disk;
};

/// All that a file may hold after a crash, over many seeds. `prepare` makes the same disk each time.
template <class Prepare>
std::set<std::string> outcomes(Prepare prepare, std::string_view path) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Disk disk;
    prepare(disk);
    disk.crash(seed);
    seen.insert(disk.contents(path).value_or("(none)"));
  }
  return seen;
}

void sync_root(Disk& disk) {
  ASSERT_EQ(disk.sync_directory("/", disk.name_changes()), 0);
}

TEST_F(DiskTest, WritesAreVisibleAtOnceAndHolesReadAsZeros) {
  const auto file = open("/f");
  ASSERT_TRUE(disk.write(*file, 10'000, bytes_of("abc"), false));
  const std::string all = read("/f");
  EXPECT_EQ(all.size(), 10'003u);
  EXPECT_EQ(all.substr(10'000), "abc");
  EXPECT_EQ(all.find_first_not_of('\0'), 10'000u);
}

TEST_F(DiskTest, DurableWriteSurvivesEveryCrash) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    create_durably("/f", "first");
    const auto file = open("/f");
    const std::string block(9000, static_cast<char>('a' + seed % 26));
    ASSERT_TRUE(disk.write(*file, 512, bytes_of(block), true));
    disk.crash(seed);
    ASSERT_EQ(read("/f").substr(512), block) << seed;
  }
}

TEST_F(DiskTest, UnsyncedSectorsAreLostIndependently) {
  const auto seen = outcomes(
      [](Disk& disk) {
        auto file = *disk.open("/f", read_write);
        ASSERT_TRUE(disk.write(*file, 0, bytes_of(std::string(1024, 'o')), true));
        sync_root(disk);
        ASSERT_TRUE(disk.write(*file, 0, bytes_of(std::string(1024, 'n')), false));
      },
      "/f");
  const std::string old_half(512, 'o');
  const std::string new_half(512, 'n');
  EXPECT_EQ(seen, (std::set<std::string>{old_half + old_half, old_half + new_half, new_half + old_half,
                                         new_half + new_half}));
}

TEST_F(DiskTest, AnAtomicWriteIsNeverTorn) {
  const std::string old(16384, 'o'), first(8192, '1'), second(8192, '2');
  alignas(4096) static std::byte memory[8192];
  const auto write = [&](Disk& on, OpenFile& file, std::uint64_t offset, const std::string& text) {
    std::memcpy(memory, text.data(), text.size());
    ASSERT_TRUE(on.write_atomically(file, offset, {memory, text.size()}, false));
  };
  const auto found = outcomes(
      [&](Disk& fresh) {
        auto file = *fresh.open("/f", read_write | O_DIRECT);
        OpenFile buffered{file->inode, file->flags & ~O_DIRECT};
        ASSERT_TRUE(fresh.write(buffered, 0, bytes_of(old), true));
        sync_root(fresh);
        write(fresh, *file, 0, first);
        write(fresh, *file, 8192, second);
        write(fresh, *file, 4096, first.substr(0, 4096));  // over the second half of the first
      },
      "/f");
  EXPECT_GE(found.size(), 4u) << "each may be lost";
  for (const std::string& file : found) {
    const std::string middle = file.substr(4096, 4096);
    const char begins = file[0];
    EXPECT_TRUE(file.substr(0, 4096) == std::string(4096, begins));
    EXPECT_TRUE(middle == std::string(4096, middle[0])) << "torn";
    EXPECT_TRUE(begins == 'o' || middle[0] == '1') << "the first write is there in part";
    EXPECT_TRUE(file.substr(8192) == std::string(8192, file[8192])) << "torn";
  }
}

TEST_F(DiskTest, AtomicWritesOverlapWithOthersAndStayWhole) {
  // A sector shows which write it has: of each atomic write all sectors that nobody wrote later, or none.
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    Disk fresh;
    auto file = *fresh.open("/f", read_write | O_DIRECT);
    alignas(4096) static std::byte memory[8192];
    std::map<unsigned, std::pair<unsigned, unsigned>> atomic;  // number → sectors
    std::array<std::set<unsigned>, 16> touched;
    std::uint64_t up_to = 0;
    for (unsigned number = 1; number <= 12; ++number) {
      const auto count = 1u << random.below(4);
      const auto first = static_cast<unsigned>(random.below(16 / count)) * count;
      std::memset(memory, static_cast<int>(number), count * sector_bytes);
      const bool durable = random.one_in(6);
      const Bytes from(memory, count * sector_bytes);
      if (random.one_in(3)) {
        ASSERT_TRUE(fresh.write(*file, first * sector_bytes, from, durable));
      } else {
        ASSERT_TRUE(fresh.write_atomically(*file, first * sector_bytes, from, durable));
        atomic[number] = {first, first + count};
      }
      for (unsigned sector = first; sector < first + count; ++sector) touched[sector].insert(number);
      if (random.one_in(5)) up_to = file->inode->image.changes();
      if (random.one_in(5)) file->inode->image.sync(up_to);
      if (random.one_in(12)) file->inode->image.drop_unsynced(random);
    }
    fresh.close(*file);
    sync_root(fresh);
    fresh.crash(seed);
    const std::string left = fresh.contents("/f").value_or("");
    for (const auto& [number, sectors] : atomic) {
      bool some = false, missing = false;
      for (unsigned sector = sectors.first; sector < sectors.second; ++sector) {
        const auto at = sector * sector_bytes;
        const unsigned shown = at < left.size() ? static_cast<unsigned char>(left[at]) : 0;
        some |= shown == number;
        missing |= shown < number && at < left.size();
      }
      EXPECT_FALSE(some && missing) << "write " << number << " is torn, seed " << seed;
    }
  }
}

TEST_F(DiskTest, AtomicWritesAskForWhatTheKernelAsks) {
  alignas(4096) static std::byte memory[32768];
  const auto direct = open("/f", read_write | O_DIRECT), buffered = open("/f");
  EXPECT_EQ(disk.write_atomically(*buffered, 0, {memory, 512}, false).error(), EOPNOTSUPP);
  EXPECT_EQ(disk.write_atomically(*direct, 0, {memory, 1536}, false).error(), EINVAL);
  EXPECT_EQ(disk.write_atomically(*direct, 512, {memory, 1024}, false).error(), EINVAL);
  EXPECT_EQ(disk.write_atomically(*direct, 0, {memory, 32768}, false).error(), EINVAL);
  EXPECT_TRUE(disk.write_atomically(*direct, 16384, {memory, 16384}, false));
  disk.set_capacity(4096);
  EXPECT_EQ(disk.write_atomically(*direct, 65536, {memory, 16384}, false).error(), ENOSPC);
}

TEST_F(DiskTest, AnOverwrittenVersionMayBeTheOneThatSurvives) {
  const auto seen = outcomes(
      [](Disk& disk) {
        auto file = *disk.open("/f", read_write);
        ASSERT_TRUE(disk.write(*file, 0, bytes_of("1"), true));
        sync_root(disk);
        ASSERT_TRUE(disk.write(*file, 0, bytes_of("2"), false));
        ASSERT_TRUE(disk.write(*file, 0, bytes_of("3"), false));
      },
      "/f");
  EXPECT_EQ(seen, (std::set<std::string>{"1", "2", "3"}));
}

TEST_F(DiskTest, AnUnsyncedDiscardIsLostSectorBySector) {
  const auto prepare = [](bool synced) {
    return [synced](Disk& disk) {
      auto file = *disk.open("/f", read_write);
      ASSERT_TRUE(disk.write(*file, 0, bytes_of(std::string(1024, 'o')), true));
      sync_root(disk);
      ASSERT_EQ(disk.zero(*file, 0, 1024, true), 0);
      if (synced) file->inode->image.sync(file->inode->image.changes());
    };
  };
  const std::string old_half(512, 'o'), zeros(512, '\0');
  EXPECT_EQ(outcomes(prepare(false), "/f"),
            (std::set<std::string>{old_half + old_half, old_half + zeros, zeros + old_half, zeros + zeros}));
  EXPECT_EQ(outcomes(prepare(true), "/f"), (std::set<std::string>{zeros + zeros}));
}

TEST_F(DiskTest, DiscardFreesWholeBlocksAndWriteZeroesKeepsThem) {
  Disk small({.capacity_bytes = 4 * block_bytes});
  auto file = *small.open("/f", read_write);
  ASSERT_TRUE(small.write(*file, 0, bytes_of(std::string(4 * block_bytes, 'x')), true));
  ASSERT_EQ(small.space().free_bytes, 0u);
  ASSERT_EQ(small.zero(*file, 0, 4 * block_bytes, false), 0);
  EXPECT_EQ(small.space().free_bytes, 0u);
  ASSERT_EQ(small.zero(*file, 1, 3 * block_bytes, true), 0);
  EXPECT_EQ(small.space().free_bytes, 2 * block_bytes) << "not the two that are given up in part";
  EXPECT_EQ(small.zero(*file, 3 * block_bytes, 2 * block_bytes, false), 0) << "behind the end: reserved";
  EXPECT_EQ(small.space().free_bytes, block_bytes);
  EXPECT_EQ(small.zero(*file, 8 * block_bytes, 2 * block_bytes, false), ENOSPC);
  EXPECT_EQ(small.contents("/f")->size(), 4 * block_bytes);
  EXPECT_EQ(small.zero(*file, 0, 0, true), EINVAL);
}

TEST_F(DiskTest, SizeIsIndependentOfData) {
  const auto seen = outcomes(
      [](Disk& disk) {
        auto file = *disk.open("/f", read_write);
        sync_root(disk);
        ASSERT_TRUE(disk.write(*file, 0, bytes_of("x"), false));
      },
      "/f");
  EXPECT_EQ(seen, (std::set<std::string>{"", std::string(1, '\0'), "x"}));
}

TEST_F(DiskTest, SyncCoversWhatCameBeforeItsStartOnly) {
  const auto seen = outcomes(
      [](Disk& disk) {
        auto file = *disk.open("/f", read_write);
        sync_root(disk);
        ASSERT_TRUE(disk.write(*file, 0, bytes_of("1"), false));
        const std::uint64_t start = file->inode->image.changes();
        ASSERT_TRUE(disk.write(*file, 0, bytes_of("2"), false));
        file->inode->image.sync(start);
      },
      "/f");
  EXPECT_EQ(seen, (std::set<std::string>{"1", "2"}));
}

TEST_F(DiskTest, ATruncationIsAtomic) {
  const auto seen = outcomes(
      [](Disk& disk) {
        auto file = *disk.open("/f", read_write);
        ASSERT_TRUE(disk.write(*file, 0, bytes_of(std::string(2048, 'a')), true));
        sync_root(disk);
        ASSERT_EQ(disk.resize(*file, 512), 0);
        ASSERT_EQ(disk.resize(*file, 2048), 0);
      },
      "/f");
  const std::string kept(512, 'a');
  EXPECT_EQ(seen, (std::set<std::string>{std::string(2048, 'a'), kept, kept + std::string(1536, '\0')}));
}

TEST_F(DiskTest, AFailedSyncLosesWhatNoLaterSyncWrites) {
  Random random(1);
  bool lost = false;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    create_durably("/f", "old");
    const auto file = open("/f");
    ASSERT_TRUE(disk.write(*file, 0, bytes_of("new"), false));
    file->inode->image.drop_unsynced(random);
    file->inode->image.sync(file->inode->image.changes());  // succeeds, and says nothing
    EXPECT_EQ(read("/f"), "new");
    disk.crash(seed);
    lost |= read("/f") == "old";
  }
  EXPECT_TRUE(lost);
}

TEST_F(DiskTest, SyncingAFileDoesNotMakeItsNameDurable) {
  const auto seen = outcomes(
      [](Disk& disk) {
        auto file = *disk.open("/f", read_write);
        ASSERT_TRUE(disk.write(*file, 0, bytes_of("x"), false));
        file->inode->image.sync(file->inode->image.changes());
      },
      "/f");
  EXPECT_EQ(seen, (std::set<std::string>{"(none)", "x"}));
}

TEST_F(DiskTest, ARenameLeavesTheOldNameOrTheNew) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Disk fresh;
    for (const char* name : {"/CURRENT", "/CURRENT.new"}) {
      auto file = *fresh.open(name, read_write);
      ASSERT_TRUE(fresh.write(*file, 0, bytes_of(name), true));
    }
    sync_root(fresh);
    ASSERT_EQ(fresh.rename("/CURRENT.new", "/CURRENT"), 0);
    auto next = *fresh.open("/CURRENT.new", read_write);  // must not survive a rename that did not
    fresh.crash(seed);
    const std::string current = fresh.contents("/CURRENT").value_or("(none)");
    const std::string left = fresh.contents("/CURRENT.new").value_or("(none)");
    seen.insert(current + " " + left);
  }
  EXPECT_EQ(seen, (std::set<std::string>{"/CURRENT /CURRENT.new", "/CURRENT.new (none)", "/CURRENT.new "}));
}

TEST_F(DiskTest, NamesAreLostIndependently) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Disk fresh;
    (void)*fresh.open("/a", read_write);
    (void)*fresh.open("/b", read_write);
    fresh.crash(seed);
    std::string left;
    for (const auto& path : fresh.files()) left += path;
    seen.insert(left);
  }
  EXPECT_EQ(seen, (std::set<std::string>{"", "/a", "/b", "/a/b"}));
}

TEST_F(DiskTest, AnUnlinkedFileMayComeBackWithItsBytes) {
  const auto seen = outcomes(
      [](Disk& disk) {
        auto file = *disk.open("/f", read_write);
        ASSERT_TRUE(disk.write(*file, 0, bytes_of("x"), true));
        disk.close(*file);
        sync_root(disk);
        ASSERT_EQ(disk.unlink("/f"), 0);
      },
      "/f");
  EXPECT_EQ(seen, (std::set<std::string>{"(none)", "x"}));
}

TEST_F(DiskTest, ADirectoryLostTakesItsFilesAlong) {
  ASSERT_EQ(disk.make_directory("/d"), 0);
  const auto file = open("/d/f");
  ASSERT_EQ(disk.sync_directory("/d", disk.name_changes()), 0);
  std::set<std::size_t> seen;
  disk.crash(3);
  EXPECT_LE(disk.files().size(), 1u);
  EXPECT_EQ(disk.find("/d") != nullptr, disk.find("/d/f") != nullptr);
}

TEST_F(DiskTest, NamesFollowTheRulesOfPosix) {
  create_durably("/a", "a");
  EXPECT_EQ(disk.open("/a", O_RDWR | O_CREAT | O_EXCL).error(), EEXIST);
  EXPECT_EQ(disk.open("/none", O_RDWR).error(), ENOENT);
  EXPECT_EQ(disk.open("/a/b", O_RDWR).error(), ENOTDIR);
  EXPECT_EQ(disk.open("/none/b", read_write).error(), ENOENT);
  ASSERT_EQ(disk.link("/a", "/b"), 0);
  EXPECT_EQ(disk.link("/a", "/b"), EEXIST);
  EXPECT_EQ(disk.rename("/a", "/b"), 0) << "two names of one file: nothing happens";
  EXPECT_EQ(disk.files(), (std::vector<std::string>{"/a", "/b"}));
  EXPECT_EQ(disk.unlink("/a"), 0);
  EXPECT_EQ(disk.unlink("/a"), ENOENT);
  EXPECT_EQ(read("/b"), "a");
  EXPECT_EQ(disk.make_directory("/b"), EEXIST);
  ASSERT_EQ(disk.make_directory("/d"), 0);
  EXPECT_EQ(disk.unlink("/d"), EISDIR);
  EXPECT_EQ(disk.open("/d", O_RDWR).error(), EISDIR);
}

TEST_F(DiskTest, DirectTransfersMustBeAligned) {
  alignas(4096) std::byte memory[4096]{};
  const auto file = open("/f", read_write | O_DIRECT);
  EXPECT_TRUE(disk.write(*file, 0, memory, false));
  EXPECT_EQ(disk.write(*file, 1, memory, false).error(), EINVAL);
  EXPECT_EQ(disk.write(*file, 0, Bytes(memory).first(100), false).error(), EINVAL);
  EXPECT_EQ(disk.read(*file, 0, MutableBytes(memory).subspan(8, 512)).error(), EINVAL);
}

TEST_F(DiskTest, SpaceIsCountedReservedAndGivenBack) {
  disk.set_capacity(16 * block_bytes);
  const auto file = open("/f");
  EXPECT_EQ(disk.allocate(*file, 0, 17 * block_bytes), ENOSPC);
  ASSERT_EQ(disk.allocate(*file, 0, 12 * block_bytes), 0);
  EXPECT_EQ(disk.space().free_bytes, 4 * block_bytes);
  const auto other = open("/g");
  EXPECT_EQ(disk.write(*other, 0, bytes_of(std::string(5 * block_bytes, 'x')), false).error(), ENOSPC);
  EXPECT_TRUE(disk.write(*file, 0, bytes_of(std::string(12 * block_bytes, 'x')), false)) << "reserved";
  disk.close(*other);
  ASSERT_EQ(disk.unlink("/g"), 0);
  ASSERT_EQ(disk.unlink("/f"), 0);
  EXPECT_EQ(disk.space().free_bytes, 4 * block_bytes) << "it is still open";
  disk.close(*file);
  EXPECT_EQ(disk.space().free_bytes, 16 * block_bytes);
}

TEST_F(DiskTest, FlippedBitsStay) {
  create_durably("/f", "abc");
  ASSERT_EQ(disk.flip_bit("/f", 1, 0), 0);
  EXPECT_EQ(read("/f"), "acc");
  disk.crash(1);
  EXPECT_EQ(read("/f"), "acc");
}

// Random operations on a file against two plain models: what is visible, and what a sync has promised.
TEST_F(DiskTest, RandomHistoriesKeepTheirPromises) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Random random(seed);
    Disk fresh;
    auto file = *fresh.open("/f", read_write);
    sync_root(fresh);
    std::string visible;
    std::vector<std::set<char>> possible;  // by byte
    std::size_t promised = 0;              // of the size
    for (int step = 0; step < 40; ++step) {
      const auto offset = random.below(12'000);
      const std::string text(random.between(1, 3000), static_cast<char>('A' + step));
      if (random.one_in(5)) {
        file->inode->image.sync(file->inode->image.changes());
        promised = visible.size();
        for (std::size_t i = 0; i < possible.size(); ++i) possible[i] = {visible[i]};
        continue;
      }
      const bool durable = random.one_in(4);
      ASSERT_TRUE(fresh.write(*file, offset, bytes_of(text), durable));
      if (visible.size() < offset + text.size()) visible.resize(offset + text.size());
      possible.resize(visible.size(), {'\0'});
      for (std::size_t i = 0; i < text.size(); ++i) {
        visible[offset + i] = text[i];
        if (durable) possible[offset + i].clear();
        possible[offset + i].insert(text[i]);
      }
      if (durable) promised = std::max<std::size_t>(promised, offset + text.size());
    }
    ASSERT_EQ(fresh.contents("/f").value(), visible) << seed;
    fresh.crash(seed);
    const std::string left = fresh.contents("/f").value();
    ASSERT_GE(left.size(), promised) << seed;
    ASSERT_LE(left.size(), visible.size()) << seed;
    for (std::size_t i = 0; i < left.size(); ++i) {
      ASSERT_TRUE(possible[i].contains(left[i])) << "seed " << seed << ", byte " << i;
    }
  }
}

}  // namespace
}  // namespace ashlar::sim
