/// fio's thread drives a shard by its turns: queue() submits to the channel, commit() is a turn, getevents()
/// turns until enough have completed and sleeps where a turn did nothing.

#include "bench/fio/fio_job.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "ashlar/block/device.h"
#include "ashlar/device/standard_registry.h"
#include "ashlar/runtime/memory/regions.h"
#include "bench/block/local_shard.h"

namespace ashlar::bench::block {

namespace {

std::uint32_t regions_for(std::size_t bytes) {
  return static_cast<std::uint32_t>((bytes + Region::bytes - 1) / Region::bytes);
}

void say(char* message, std::size_t message_bytes, const std::string& text) {
  if (message_bytes == 0) return;
  const std::size_t size = std::min(text.size(), message_bytes - 1);
  std::memcpy(message, text.data(), size);
  message[size] = '\0';
}

int errno_of(const Result<>& result) {
  if (result) return 0;
  if (result.error().native > 0) return result.error().native;
  switch (result.error().code) {
    case Errc::invalid: return EINVAL;
    case Errc::unsupported: return EOPNOTSUPP;
    case Errc::permission: return EPERM;
    case Errc::closed: return ENODEV;
    default: return EIO;
  }
}

/// The runs of regions that fio's buffers lie in: by address, of all jobs of the process.
class Memory {
 public:
  static Memory& process() {
    static Memory memory;
    return memory;
  }

  void* take(std::size_t bytes) {
    const auto first = Regions::process().take(regions_for(bytes));
    if (!first) return nullptr;
    const std::lock_guard lock(mutex_);
    runs_.push_back({first->data, regions_for(bytes) * Region::bytes, *first});
    return first->data;
  }

  void give(void* memory) {
    const std::lock_guard lock(mutex_);
    const auto run = std::ranges::find(runs_, static_cast<std::byte*>(memory), &Run::data);
    if (run == runs_.end()) return;
    Regions::process().give(run->first, regions_for(run->bytes));
    runs_.erase(run);
  }

  /// Where a buffer lies; no_region for memory that is not from here.
  std::uint32_t region_of(const std::byte* data) {
    const std::lock_guard lock(mutex_);
    for (const Run& run : runs_) {
      if (data >= run.data && data < run.data + run.bytes)
        return run.first.id +
               static_cast<std::uint32_t>(static_cast<std::size_t>(data - run.data) / Region::bytes);
    }
    return no_region;
  }

 private:
  struct Run {
    std::byte* data;
    std::size_t bytes;
    Region first;
  };
  std::mutex mutex_;
  std::vector<Run> runs_;
};

}  // namespace

}  // namespace ashlar::bench::block

using namespace ashlar;
using namespace ashlar::bench::block;

/// Slots for `depth` requests; those that completed stand on a list until fio asks for them.
struct ashlar_fio_job {
  struct Slot : Request {
    Segment memory;
    void* tag = nullptr;
    Slot* after = nullptr;
  };

  ashlar_fio_job(std::unique_ptr<LocalShard> on, std::unique_ptr<Device> opened, Channel* its, unsigned depth)
      : shard(std::move(on)),
        device(std::move(opened)),
        channel(its),
        slots(std::make_unique<Slot[]>(depth)) {
    taken.reserve(depth);
    for (unsigned i = 0; i < depth; ++i) {
      slots[i].context = this;
      slots[i].after = std::exchange(free, &slots[i]);
      slots[i].complete = [](Request& request) noexcept {
        Slot& slot = static_cast<Slot&>(request);
        ashlar_fio_job& job = *static_cast<ashlar_fio_job*>(slot.context);
        slot.after = nullptr;
        *(job.done == nullptr ? &job.done : &job.last->after) = &slot;
        job.last = &slot;
        ++job.done_count;
      };
    }
  }

  ~ashlar_fio_job() { shard->run(device->close()); }

  void set_memory(Slot& slot, std::byte* data, std::uint64_t bytes) {
    const std::size_t left = Region::bytes - reinterpret_cast<std::uintptr_t>(data) % Region::bytes;
    const std::uint32_t region = bytes <= left ? region_of(data) : no_region;
    slot.memory = {data, static_cast<std::uint32_t>(bytes), region};
    slot.data = {&slot.memory, 1};
  }

  /// A job's buffers lie in one run: the look-up is done once for each region.
  std::uint32_t region_of(std::byte* data) {
    const std::uintptr_t place = reinterpret_cast<std::uintptr_t>(data) / Region::bytes;
    if (place != known_place) {
      known_place = place;
      known_region = Memory::process().region_of(data);
    }
    return known_region;
  }

  std::unique_ptr<LocalShard> shard;
  std::unique_ptr<Device> device;
  Channel* channel;
  std::unique_ptr<Slot[]> slots;
  Slot* free = nullptr;
  Slot* done = nullptr;  // oldest first
  Slot* last = nullptr;
  unsigned done_count = 0;
  std::vector<std::pair<void*, int>> taken;  // tag and errno
  std::uintptr_t known_place = 0;
  std::uint32_t known_region = no_region;
};

int ashlar_fio_size(const char* spec, uint64_t* bytes, char* message, size_t message_bytes) {
  auto shard = LocalShard::start();
  if (!shard) return say(message, message_bytes, shard.error().to_string()), -1;
  auto device = (*shard)->run(standard_registry().open(spec));
  if (!device) return say(message, message_bytes, device.error().message), -1;
  *bytes = (*device)->geometry().bytes();
  (*shard)->run((*device)->close());
  return 0;
}

struct ashlar_fio_job* ashlar_fio_open(const char* spec, unsigned depth, char* message,
                                       size_t message_bytes) {
  auto shard = LocalShard::start();
  if (!shard) return say(message, message_bytes, shard.error().to_string()), nullptr;
  auto device = (*shard)->run(standard_registry().open(spec));
  if (!device) return say(message, message_bytes, device.error().message), nullptr;
  const auto channel = (*shard)->run((*device)->channel());
  if (!channel) {
    (*shard)->run((*device)->close());
    return say(message, message_bytes, channel.error().to_string()), nullptr;
  }
  std::string notes;
  for (const std::string& note : (*device)->notes()) notes += (notes.empty() ? "" : "; ") + note;
  say(message, message_bytes, notes);
  return new ashlar_fio_job(*std::move(shard), *std::move(device), *channel, depth);
}

void ashlar_fio_close(struct ashlar_fio_job* job) {
  delete job;
}

void* ashlar_fio_allocate(size_t bytes) {
  return Memory::process().take(bytes);
}

void ashlar_fio_free(void* memory) {
  Memory::process().give(memory);
}

int ashlar_fio_queue(struct ashlar_fio_job* job, enum ashlar_fio_op op, uint64_t offset, void* data,
                     uint64_t bytes, void* tag) {
  if (job->free == nullptr) return -1;
  auto& slot = *std::exchange(job->free, job->free->after);
  const std::uint32_t block = job->channel->geometry().block_bytes;
  slot.tag = tag;
  slot.lba = Lba(offset / block);
  slot.blocks = bytes / block;
  slot.data = {};
  switch (op) {
    case ashlar_fio_read: slot.op = Op::read; break;
    case ashlar_fio_write: slot.op = Op::write; break;
    case ashlar_fio_trim: slot.op = Op::trim; break;
    case ashlar_fio_flush:
      slot.op = Op::flush;
      slot.lba = Lba(0);
      slot.blocks = 0;
      break;
  }
  if (has_data(slot.op)) job->set_memory(slot, static_cast<std::byte*>(data), bytes);
  if (slot.op != Op::flush && (offset % block != 0 || bytes % block != 0)) {
    slot.result = fail(Errc::invalid, "not in whole blocks of the device", {.offset = offset});
    slot.complete(slot);
    return 0;
  }
  job->channel->submit(slot);
  return 0;
}

void ashlar_fio_turn(struct ashlar_fio_job* job) {
  (*job->shard)->poll_once();
}

unsigned ashlar_fio_wait(struct ashlar_fio_job* job, unsigned least, unsigned most) {
  if (least == 0 && job->done_count == 0) (*job->shard)->poll_once();
  while (job->done_count < least) job->shard->turn_or_sleep();
  job->taken.clear();
  while (job->done != nullptr && job->taken.size() < most) {
    auto& slot = *std::exchange(job->done, job->done->after);
    --job->done_count;
    job->taken.emplace_back(slot.tag, errno_of(slot.result));
    slot.after = std::exchange(job->free, &slot);
  }
  return static_cast<unsigned>(job->taken.size());
}

void* ashlar_fio_completed(struct ashlar_fio_job* job, unsigned index, int* error) {
  *error = job->taken[index].second;
  return job->taken[index].first;
}
