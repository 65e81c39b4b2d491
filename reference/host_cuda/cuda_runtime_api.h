// What TensorRT's headers include.
#pragma once

#include "cuda_runtime.h"
