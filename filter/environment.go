package filter

import (
	"regexp"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

const (
	maxNesting = 32      // of parentheses, calls and literals
	maxNodes   = 2000    // of the syntax tree, what macros stand for included
	maxPattern = 64      // instructions of a regular expression: steps for each character
	maxMatched = 4 << 10 // bytes of the text that it is given

	interruptEvery = 100 // steps of a comprehension
)

// environment is what expressions are compiled in, made when the first one is.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("active_site", cel.StringType),
		cel.Variable("actor", cel.StringType),
		cel.Variable("attributes", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("channel", cel.StringType),
		cel.Variable("data", cel.DynType),
		cel.Variable("resource.id", cel.StringType),
		cel.Variable("resource.kind", cel.StringType),
		cel.Variable("site", cel.StringType),
		cel.Variable("type", cel.StringType),

		cel.OptionalTypes(),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),

		cel.ParserExpressionSizeLimit(maxLength),
		cel.ParserRecursionLimit(maxNesting),
		cel.ExpressionNodeLimit(maxNodes),
		cel.RegexProgramSizeLimit(maxPattern),
		cel.ASTValidators(cel.ValidateRegexLiterals(), callValidator{}),
	)
})

func limits(maxCost int) []cel.ProgramOption {
	sizes := sizesOf(maxCost)
	return []cel.ProgramOption{
		cel.CostTracking(prices{sizes}),
		cel.CostLimit(uint64(maxCost)), //nolint:gosec // positive
		cel.MemoryTracking(types.MemoryTrackerSizeCalculator(sizes)),
		cel.MemoryLimit(uint32(maxCost)), //nolint:gosec // at most maxMaxCost
		cel.InterruptCheckFrequency(interruptEvery),
		cel.OptimizeRegex(boundedMatches),
	}
}

// callValidator refuses calls that cost what nothing bounds: regular expressions
// that the data could make, and time zones, which are read from files.
type callValidator struct{}

func (callValidator) Name() string { return "riverhook.filter.calls" }

func (callValidator) Validate(_ *cel.Env, _ cel.ValidatorConfig, tree *ast.AST, issues *cel.Issues) {
	ast.PostOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind {
			return
		}
		call := e.AsCall()
		args := call.Args()
		switch name := call.FunctionName(); {
		case name == overloads.Matches && len(args) > 0 && args[len(args)-1].Kind() != ast.LiteralKind:
			issues.ReportErrorAtID(args[len(args)-1].ID(), "the pattern of matches must be a text in quotes")
		case strings.HasPrefix(name, "get") && call.IsMemberFunction() && len(args) > 0:
			issues.ReportErrorAtID(e.ID(), "%s takes no time zone: times are in UTC", name)
		}
	}))
}

// boundedMatches compiles a pattern once, and bounds the text that it is given.
var boundedMatches = &interpreter.RegexOptimization{
	Function:   overloads.Matches,
	RegexIndex: 1,
	Factory: func(call interpreter.InterpretableCall, pattern string) (interpreter.InterpretableCall, error) {
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, err
		}
		return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), func(values ...ref.Val) ref.Val {
			text, ok := values[0].(types.String)
			switch {
			case !ok:
				return types.MaybeNoSuchOverloadErr(values[0])
			case len(text) > maxMatched:
				return types.WrapErr(errTextSize)
			}
			return types.Bool(re.MatchString(string(text)))
		}), nil
	},
}
