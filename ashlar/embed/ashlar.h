#pragma once

/// Ashlar as a library: what a program includes.

#include "ashlar/embed/db.h"
