//! The operations of a graph by which the names of weights are found.

/// The use of a node's inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Multiplies its first input with the matrix `[k, n]` that is its second one, and adds the bias at `bias` where that is not 0.
    Product { bias: usize },
    /// A `Product` with a matrix of bytes.
    ByteProduct { bias: usize },
    /// A `Product` with the matrix `[n, k]` in 4 bits, and its scales and zero points as the next inputs.
    NibbleProduct,
    /// A `Product` whose matrix is `[n, k]` if the attribute `transB` is set.
    Gemm,
    /// Multiplies with the columns of query, key and value in one matrix, and adds their biases.
    Attention,
    /// Attends with queries, keys and values, after adding their biases, which are one input.
    AttentionOfThree,
    /// Adds its inputs.
    Add,
    /// Adds its second input to the first before an activation.
    BiasActivation,
    /// Adds its first two inputs and the bias, which is the fifth one, before a norm.
    SkipNorm,
    /// Adds the embeddings of words, positions and token types, which are its inputs from the third on, before a norm.
    EmbedNorm,
    /// Converts or scales a product.
    Conversion,
    /// The exponential of its input.
    Exponential,
    /// Gives a tensor that is equal to another one the name that it had.
    Identity,
}

/// The most inputs of a node that are read.
pub(super) const MAX_INPUTS: usize = 7;

/// Attributes whose numbers are read.
pub(super) const ATTRIBUTES: [&str; 4] = ["transB", "bits", "block_size", "K"];

impl Op {
    /// Finds an operation by its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "MatMul" | "FusedMatMul" => Self::Product { bias: 0 },
            "MatMulInteger" => Self::ByteProduct { bias: 0 },
            "DynamicQuantizeMatMul" => Self::ByteProduct { bias: 4 },
            "MatMulIntegerToFloat" => Self::ByteProduct { bias: 6 },
            "MatMulNBits" => Self::NibbleProduct,
            "Gemm" => Self::Gemm,
            "Attention" | "QAttention" => Self::Attention,
            "MultiHeadAttention" => Self::AttentionOfThree,
            "Add" => Self::Add,
            "BiasGelu" | "FastGelu" => Self::BiasActivation,
            "SkipLayerNormalization" | "SkipSimplifiedLayerNormalization" => Self::SkipNorm,
            "EmbedLayerNormalization" | "QEmbedLayerNormalization" => Self::EmbedNorm,
            "Cast" | "Mul" => Self::Conversion,
            "Exp" => Self::Exponential,
            "Identity" => Self::Identity,
            _ => return None,
        })
    }

    /// Whether the node multiplies with a weight, its second input.
    pub fn is_product(self) -> bool {
        use Op::{ByteProduct, Gemm, NibbleProduct, Product};
        matches!(
            self,
            Product { .. } | ByteProduct { .. } | NibbleProduct | Gemm
        )
    }

    /// The place among the inputs of the bias of a product.
    pub fn bias(self) -> Option<usize> {
        match self {
            Self::Product { bias } | Self::ByteProduct { bias } if bias > 0 => Some(bias),
            Self::Gemm => Some(2),
            Self::NibbleProduct => Some(5),
            _ => None,
        }
    }
}

/// A node of the graph.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub op: Op,
    pub name: String,
    pub inputs: Vec<String>,
    /// The first output.
    pub output: String,
    /// The numbers of attributes, by their places in [`ATTRIBUTES`].
    pub numbers: Vec<(usize, u64)>,
}

impl Node {
    /// The name of an input; empty where the node has none at this place.
    pub fn input(&self, index: usize) -> &str {
        self.inputs.get(index).map_or("", String::as_str)
    }

    /// The number of an attribute.
    pub fn number(&self, attribute: &str) -> Option<u64> {
        let mut numbers = self.numbers.iter();
        let found = numbers.find(|(index, _)| ATTRIBUTES.get(*index) == Some(&attribute));
        found.map(|(_, number)| *number)
    }
}
