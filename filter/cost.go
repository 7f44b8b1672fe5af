package filter

import (
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// assumedSize is what the estimate takes for the number of elements or characters
// of what only the event knows.
const assumedSize = 32

// assumedSizes estimates what an expression costs before there is an event.
type assumedSizes struct{}

func (assumedSizes) EstimateSize(cost.AstNode) *cost.SizeEstimate {
	return &cost.SizeEstimate{Min: 0, Max: assumedSize}
}

//nolint:gocritic // it is CEL that passes a pointer
func (assumedSizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil // CEL's own estimate
}

// sizesOf counts elements at every depth, and ten bytes of text as one. It does not
// count on where there are more than most.
func sizesOf(most int) *types.SizeCalculator {
	const anyDepth = 1 << 20
	return types.NewSizeCalculator(types.SizeCalculatorMaxDepth(anyDepth), types.SizeCalculatorMaxTraversal(most))
}

// prices is what calls cost when they run: the size of what they are given. CEL
// takes many calls for constant that are not, all of those among them whose
// operands have types that only the data decides.
type prices struct{ sizes *types.SizeCalculator }

func (p prices) CallCost(function, overload string, args []ref.Val, _ ref.Val) *uint64 {
	// perText is what a regular expression of maxPattern instructions takes of a text.
	const perText = 40
	total := uint64(1)
	if overload == overloads.AddList { // copies nothing, and is each step of the macro map
		args = args[1:]
	}
	for _, arg := range args {
		size := uint64(p.sizes.AggregateSize(arg))
		if function == overloads.Matches {
			size *= perText
		}
		total += size
	}
	return &total
}
