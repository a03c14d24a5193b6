#include "ashlar/runtime/ops/sim/world.h"

#include <algorithm>
#include <cassert>

#include "ashlar/runtime/sync/scope.h"

namespace ashlar::sim {

namespace {

// What a turn of a shard costs in virtual time.
constexpr Latency turn_cost{Duration(200), Duration(2000)};

}  // namespace

World::World(const WorldOptions& options, Disk& disk)
    : options_(options),
      environment_(options.environment, disk),
      schedule_(environment_.random.next()),
      mesh_(options.shards) {
  for (unsigned id = 0; id < options.shards; ++id) {
    const unsigned host = id < options.hosts.size() ? options.hosts[id] : 0;
    auto backend = std::make_unique<SimBackend>(environment_, id, host);
    backends_.push_back(backend.get());
    shards_.push_back(std::make_unique<Shard>(ShardId{static_cast<decltype(ShardId::value)>(id)},
                                              std::move(backend), mesh_, options.shard));
    speed_.push_back(1u << schedule_.below(4));
  }
}

World::~World() {
  while (!shards_.empty()) {
    assert(shards_.back()->scope().live() == 0 && "a task outlived its world: run_to_end()");
    shards_.pop_back();
  }
}

void World::spawn(unsigned shard, Task<void> task) {
  const Entered entered(*shards_[shard]);
  shards_[shard]->scope().spawn(std::move(task));
}

void World::cancel_all() {
  for (auto& shard : shards_) {
    const Entered entered(*shard);
    shard->scope().cancel();
  }
}

World::Outcome World::run_until(const std::function<bool()>& done) {
  while (!done()) {
    if (++turns_ > options_.turns_max || now() - Instant{} > options_.time_max) return Outcome::livelock;
    if (!turn() && !pass_time()) return Outcome::deadlock;
  }
  return Outcome::done;
}

World::Outcome World::run_to_end() {
  return run_until([this] {
    return std::ranges::all_of(shards_, [](const auto& shard) {
      return shard->scope().live() == 0 && shard->backend().in_flight() == 0;
    });
  });
}

// One turn of one shard that has something to do.
bool World::turn() {
  runnable_.clear();
  for (unsigned id = 0; id < shards_.size(); ++id) {
    const Entered entered(*shards_[id]);
    if (shards_[id]->has_work() || shards_[id]->mesh().has_outbound()) {
      runnable_.insert(runnable_.end(), speed_[id], id);
    }
  }
  if (runnable_.empty()) return false;
  const unsigned id = runnable_[schedule_.below(runnable_.size())];
  {
    const Entered entered(*shards_[id]);
    shards_[id]->poll_once();
  }
  environment_.events.advance(turn_cost.draw(schedule_));
  return true;
}

bool World::pass_time() {
  Instant next = environment_.events.next();
  for (const auto& shard : shards_) next = std::min(next, shard->timers().next());
  if (next == never) return false;
  environment_.events.advance_to(next);
  environment_.events.run_due();
  return true;
}

std::string World::report() const {
  std::string text = "simulated world, seed " + std::to_string(options_.environment.seed) + ", " +
                     std::to_string(now().time_since_epoch().count()) + " ns, " + std::to_string(turns_) +
                     " turns" + (environment_.powered() ? "\n" : ", power is off\n");
  for (unsigned id = 0; id < shards_.size(); ++id) {
    text += "  shard " + std::to_string(id) + ": " + std::to_string(shards_[id]->scope().live()) +
            " tasks, " + std::to_string(backends_[id]->in_flight()) + " operations in flight\n";
    text += backends_[id]->describe_in_flight();
  }
  return text;
}

}  // namespace ashlar::sim
