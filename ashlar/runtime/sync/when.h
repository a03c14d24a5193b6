#pragma once

/// Several tasks at once, on one shard.
///
///   auto [meta, data] = co_await when_all(read_meta(file), read_data(file));
///   auto first = co_await when_any(receive(socket), stop_requested());   // the loser is cancelled and
///   awaited
///
/// Children run in scopes of their own: none outlives the call, and all inherit cancellation and share of the
/// caller. A child without a value yields std::monostate.

#include <cassert>
#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "ashlar/runtime/sync/scope.h"

namespace ashlar {

namespace detail {

template <class T>
using ValueOf = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

/// Runs a task and hands its value to `done`, a callable in the caller's frame.
template <class T, class Done>
Task<void> run_then(Task<T> task, Done* done) {
  if constexpr (std::is_void_v<T>) {
    co_await task;
    (*done)(std::monostate{});
  } else {
    (*done)(co_await task);
  }
}

template <class T>
struct Store {
  std::optional<ValueOf<T>> value;
  void operator()(ValueOf<T> result) { value.emplace(std::move(result)); }
};

}  // namespace detail

/// Runs all and returns their values in order, once the last has ended.
template <class... T>
Task<std::tuple<detail::ValueOf<T>...>> when_all(Task<T>... tasks) {
  std::tuple<detail::Store<T>...> stores;
  TaskScope scope;
  std::apply([&](auto&... store) { (scope.spawn(detail::run_then(std::move(tasks), &store)), ...); }, stores);
  co_await scope.join();
  co_return std::apply(
      [](auto&... store) { return std::tuple<detail::ValueOf<T>...>(*std::move(store.value)...); }, stores);
}

/// The same for any number of one kind.
template <class T>
Task<std::vector<detail::ValueOf<T>>> when_all(std::vector<Task<T>> tasks) {
  std::vector<detail::Store<T>> stores(tasks.size());
  TaskScope scope;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    scope.spawn(detail::run_then(std::move(tasks[i]), &stores[i]));
  }
  co_await scope.join();
  std::vector<detail::ValueOf<T>> values;
  values.reserve(stores.size());
  for (auto& store : stores) values.push_back(*std::move(store.value));
  co_return values;
}

/// Runs all; the first to end cancels the others, which are awaited. The variant's index says which it was.
/// Values of the losers are dropped, so that a loser must leave nothing half done when it is cancelled.
template <class... T>
Task<std::variant<detail::ValueOf<T>...>> when_any(Task<T>... tasks) {
  static_assert(sizeof...(T) > 0);
  using Winner = std::variant<detail::ValueOf<T>...>;
  std::optional<Winner> winner;
  TaskScope scope;
  auto enter = [&]<std::size_t... i>(std::index_sequence<i...>) {
    return std::tuple([&](detail::ValueOf<T> value) {
      if (winner) return;
      winner.emplace(std::in_place_index<i>, std::move(value));
      scope.cancel();
    }...);
  };
  auto finishers = enter(std::index_sequence_for<T...>{});
  std::apply([&](auto&... finish) { (scope.spawn(detail::run_then(std::move(tasks), &finish)), ...); },
             finishers);
  co_await scope.join();
  co_return *std::move(winner);
}

/// The first of many, and which it was.
template <class T>
struct First {
  std::size_t index;
  T value;
};

/// The same for any number, at least one, of one kind.
template <class T>
Task<First<detail::ValueOf<T>>> when_any(std::vector<Task<T>> tasks) {
  using Value = detail::ValueOf<T>;
  assert(!tasks.empty());
  struct Finish {
    std::optional<First<Value>>* winner;
    TaskScope* scope;
    std::size_t index;
    void operator()(Value value) {
      if (*winner) return;
      winner->emplace(First<Value>{index, std::move(value)});
      scope->cancel();
    }
  };
  std::optional<First<Value>> winner;
  TaskScope scope;
  std::vector<Finish> finishers;
  finishers.reserve(tasks.size());
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    finishers.push_back({&winner, &scope, i});
    scope.spawn(detail::run_then(std::move(tasks[i]), &finishers.back()));
  }
  co_await scope.join();
  co_return *std::move(winner);
}

}  // namespace ashlar
