"""The weights of a TFLite file, in the order in which the graph uses them, in torch's layout.

Needs ``tflite`` (the file format's schema as a Python package) beside cnnart's own requirements.
"""

from __future__ import annotations

import numpy as np
import tflite

HALF, FLOAT = tflite.TensorType.FLOAT16, tflite.TensorType.FLOAT32
DTYPES = {HALF: np.dtype("<f2"), FLOAT: np.dtype("<f4")}
DEPTHWISE = tflite.BuiltinOperator.DEPTHWISE_CONV_2D
CONVOLUTIONS = (tflite.BuiltinOperator.CONV_2D, DEPTHWISE)
DEQUANTIZE = tflite.BuiltinOperator.DEQUANTIZE
TRANSPOSED = b"Convolution2DTransposeBias"  # MediaPipe's own operator


def weights_in_order(content: bytes) -> list[np.ndarray]:
    """Weight and bias of each convolution, first to last: OIHW, of a depthwise one C1HW, of a
    transposed one IOHW. float16 where the file has float16.
    """
    model = tflite.Model.GetRootAsModel(content, 0)
    graph = model.Subgraphs(0)
    stored: dict[int, int] = {}  # a float16 tensor behind the float32 that it is expanded to
    found: list[np.ndarray] = []
    for n in range(graph.OperatorsLength()):
        operator = graph.Operators(n)
        code = model.OperatorCodes(operator.OpcodeIndex())
        kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if kind == DEQUANTIZE:
            stored[operator.Outputs(0)] = operator.Inputs(0)
        elif kind in CONVOLUTIONS or code.CustomCode() == TRANSPOSED:
            weight, bias = (
                _tensor(model, graph, stored.get(i, i)) for i in operator.InputsAsNumpy()[1:3]
            )
            backwards = kind == DEPTHWISE or code.CustomCode() == TRANSPOSED
            found += [np.ascontiguousarray(weight.transpose(_order(backwards))), bias]
    return found


def _order(backwards: bool) -> tuple[int, ...]:
    """From TFLite's OHWI to OIHW; where O is 1 in a depthwise weight, and in a transposed one, the
    last axis counts channels that come in, which torch has first."""
    return (3, 0, 1, 2) if backwards else (0, 3, 1, 2)


def _tensor(model: tflite.Model, graph: tflite.SubGraph, index: int) -> np.ndarray:
    tensor = graph.Tensors(index)
    data = model.Buffers(tensor.Buffer()).DataAsNumpy()
    return np.frombuffer(data.tobytes(), DTYPES[tensor.Type()]).reshape(tensor.ShapeAsNumpy())
