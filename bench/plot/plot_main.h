#pragma once

namespace ashlar::bench {

/// `ashlar-bench plot rows.jsonl DIR`: a picture for each group of cases in what --json wrote.
int plot_main(int argc, char** argv);

}  // namespace ashlar::bench
