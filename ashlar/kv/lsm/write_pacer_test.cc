#include "ashlar/kv/lsm/write_pacer.h"

#include <gtest/gtest.h>

#include <map>

namespace ashlar::lsm {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant start{seconds(1000)};

TEST(WritePacer, HoldsNobodyBackWithoutABacklog) {
  WritePacer pacer;
  for (std::uint64_t i = 1; i < 1000; ++i) EXPECT_FALSE(pacer.wrote(Sequence{i}, 1u << 20, start));
  EXPECT_EQ(pacer.held_from(), sequence_max);
  pacer.set_pressure(WritePacer::Backlog::tables, -0.5);
  EXPECT_EQ(pacer.allowed_rate(), 0);
}

TEST(WritePacer, GivesTheMeasuredSpeedAtHalfOfTheBacklog) {
  WritePacer pacer;
  pacer.drain(WritePacer::Backlog::tables).measured(100'000'000, seconds(10));
  pacer.set_pressure(WritePacer::Backlog::tables, 0.5);
  EXPECT_NEAR(pacer.allowed_rate(), 10e6, 1);
  double before = 1e18;
  for (double pressure = 0.01; pressure < 1.2; pressure += 0.01) {
    pacer.set_pressure(WritePacer::Backlog::tables, pressure);
    EXPECT_LE(pacer.allowed_rate(), before);
    EXPECT_GT(pacer.allowed_rate(), 0);
    before = pacer.allowed_rate();
  }
  // The slower of the two decides.
  pacer.set_pressure(WritePacer::Backlog::tables, 0.5);
  pacer.drain(WritePacer::Backlog::memtables).measured(1'000'000, seconds(1));
  pacer.set_pressure(WritePacer::Backlog::memtables, 0.5);
  EXPECT_NEAR(pacer.allowed_rate(), 1e6, 1);
}

/// One writer that waits for each of its writes gets the allowed speed; so do many.
TEST(WritePacer, WritersTogetherGetTheAllowedSpeed) {
  for (const std::uint64_t writers : {1u, 40u}) {
    WritePacer pacer;
    pacer.drain(WritePacer::Backlog::memtables).measured(10'000'000, seconds(1));
    pacer.set_pressure(WritePacer::Backlog::memtables, 0.5);
    Instant now = start;
    std::uint64_t sequence = 0, bytes = 0;
    while (now < start + seconds(2)) {
      for (std::uint64_t i = 0; i < writers; ++i) {
        pacer.wrote(Sequence{++sequence}, 4096, now);
        bytes += 4096;
      }
      while (const auto due = pacer.next_due()) {
        now = std::max(now, *due);
        pacer.release(now);
      }
      now += std::chrono::microseconds(1);
    }
    EXPECT_NEAR(static_cast<double>(bytes), 20e6, 1e6) << writers;
  }
}

TEST(WritePacer, NoWriteWaitsLongerThanTheBound) {
  WritePacer pacer;
  pacer.set_pressure(WritePacer::Backlog::tables, 5);
  Instant now = start;
  std::map<std::uint64_t, Instant> written;
  for (std::uint64_t sequence = 1; sequence < 20'000; ++sequence) {
    pacer.wrote(Sequence{sequence}, 1u << 20, now);
    written[sequence] = now;
    now += std::chrono::microseconds(100);
    pacer.release(now);
    // Whatever is held was written less than the bound ago, but for the turn that lets it go.
    const auto oldest = written.lower_bound(pacer.held_from().value);
    if (oldest != written.end())
      ASSERT_LE(now - oldest->second, WritePacer::wait_max + std::chrono::microseconds(100));
  }
  pacer.release(now + seconds(1));
  EXPECT_EQ(pacer.held_from(), sequence_max);
}

TEST(WritePacer, WritesGoOnInTheirOrder) {
  WritePacer pacer;
  pacer.drain(WritePacer::Backlog::tables).measured(1'000'000, seconds(1));
  pacer.set_pressure(WritePacer::Backlog::tables, 0.5);
  for (std::uint64_t sequence = 1; sequence <= 50; ++sequence)
    EXPECT_EQ(pacer.wrote(Sequence{sequence}, 1000, start), sequence > 0);
  Sequence before = pacer.held_from();
  EXPECT_EQ(before, Sequence{1});
  for (int ms = 1; ms <= 51; ++ms) {
    pacer.release(start + milliseconds(ms));
    EXPECT_GE(pacer.held_from(), before);
    before = pacer.held_from();
  }
  EXPECT_EQ(before, sequence_max);
}

}  // namespace
}  // namespace ashlar::lsm
