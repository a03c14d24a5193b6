#pragma once

namespace ashlar::bench::block {

/// `ashlar-bench block …`: every way to reach a disk, side by side.
int block_main(int argc, char** argv);

}  // namespace ashlar::bench::block
