package filter

import (
	"context"
	"errors"
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"
)

const (
	// maxLength is how many characters an expression may have.
	maxLength = 2048

	// maxData is how many bytes of data an expression can look at. An expression
	// that does not look at the data does not mind how large it is.
	maxData = 1 << 20

	defaultMaxCost = 20_000
)

// Opts bound what expressions may take.
type Opts struct {
	// MaxCost is the most that one evaluation may cost, in CEL's units of roughly
	// 150 ns: each step costs one, and a call what it is given to look at, one for
	// each number, element and ten bytes of text. It is also the most elements
	// that a value may have which is looked at as a whole. An expression whose
	// estimate is higher, for lists, maps and texts of 32 elements, is not
	// compiled; one that comes to cost more when it runs fails. From 1 to
	// 100,000. Default: 20,000, about three milliseconds of a processor.
	MaxCost int
}

const maxMaxCost = 100_000

// Validate says why options are refused; an error names the field.
func (o Opts) Validate() error {
	if o.MaxCost < 0 || o.MaxCost > maxMaxCost {
		return fmt.Errorf("MaxCost: is %d; must be 1 to %d, or 0 for the default", o.MaxCost, maxMaxCost)
	}
	return nil
}

// Program is a compiled expression. It is safe for concurrent use.
type Program struct {
	ast     *cel.Ast
	maxCost int
	program cel.Program
}

// Check says why an expression is refused by Compile with the default options. It
// is a subscription.Config.CheckFilter.
func Check(expr string) error {
	_, err := Compile(expr, nil)
	return err
}

// Compile compiles an expression. One that is refused is an [*Error] that says
// where; nil opts are the defaults. Options that are refused are an error that names
// the field.
func Compile(expr string, opts *Opts) (_ *Program, err error) {
	defer func() {
		if recover() != nil {
			err = errPanicked
		}
	}()
	var o Opts
	if opts != nil {
		o = *opts
	}
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("filter: %w", err)
	}
	if o.MaxCost == 0 {
		o.MaxCost = defaultMaxCost
	}
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("filter: environment: %w", err)
	}
	ast, issues := env.Compile(expr)
	if issues.Err() != nil {
		return nil, errorOf(issues)
	}
	if out := ast.OutputType(); !out.IsExactType(cel.BoolType) {
		return nil, refused("is %s; must be a boolean, such as data.paid == true", typeName(out))
	}
	estimate, err := env.EstimateCost(ast, assumedSizes{})
	if err != nil {
		return nil, fmt.Errorf("filter: estimate: %w", err)
	}
	if estimate.Max > uint64(o.MaxCost) { //nolint:gosec // positive
		return nil, refused("may cost %d; at most %d is allowed", estimate.Max, o.MaxCost)
	}
	program, err := env.Program(ast, limits(o.MaxCost)...)
	if err != nil {
		return nil, refused("%s", err)
	}
	return &Program{
		ast:     ast,
		maxCost: o.MaxCost,
		program: program,
	}, nil
}

// Matches evaluates the expression for an event. An error says where the
// evaluation failed and in which way, without any value of the event. When the
// context ends first, the error wraps that of the context.
func (p *Program) Matches(ctx context.Context, ev *Event) (matches bool, err error) {
	matches, _, err = p.Evaluate(ctx, ev)
	return matches, err
}

// Evaluate is Matches that also returns what the evaluation cost, in the units of
// Opts.MaxCost, whether or not it failed. The cost is the same for the same event on each
// machine; of an evaluation that broke off it is Opts.MaxCost.
func (p *Program) Evaluate(ctx context.Context, ev *Event) (matches bool, cost int, err error) {
	cost = p.maxCost
	defer func() {
		if recover() != nil {
			matches, err = false, errPanicked
			cost = p.maxCost
		}
	}()
	if err := ctx.Err(); err != nil {
		return false, 0, fmt.Errorf("filter: interrupted: %w", err)
	}
	out, details, err := p.program.ContextEval(ctx, activation{ev})
	var broken interpreter.EvalCancelledError
	if actual := details.ActualCost(); actual != nil && !errors.As(err, &broken) {
		cost = int(min(*actual, uint64(p.maxCost))) //nolint:gosec // at most maxMaxCost
	}
	if err != nil {
		return false, cost, p.failure(ctx, err)
	}
	answer, ok := out.(types.Bool)
	if !ok {
		return false, cost, refused("is %s; must be a boolean", out.Type().TypeName())
	}
	return bool(answer), cost, nil
}

// failure leaves out what CEL tells of values: errors are kept longer than data.
func (p *Program) failure(ctx context.Context, err error) error {
	var (
		cancelled interpreter.EvalCancelledError
		failed    *types.Err
	)
	switch {
	case errors.As(err, &cancelled) && cancelled.Cause == interpreter.CostLimitExceeded:
		return refused("cost more than %d", p.maxCost)
	case errors.As(err, &cancelled) && cancelled.Cause == interpreter.MemoryLimitExceeded:
		return refused("looked at a value of more than %d elements", p.maxCost)
	case ctx.Err() != nil && (errors.As(err, &cancelled) || errors.Is(err, interpreter.InterruptError{})):
		return fmt.Errorf("filter: interrupted: %w", ctx.Err())
	case !errors.As(err, &failed):
		return refused("%s", kindOf(err))
	}
	place := p.ast.NativeRep().SourceInfo().GetStartLocation(failed.NodeID())
	return &Error{
		Line:   place.Line(),
		Column: place.Column() + 1,
		Reason: kindOf(failed),
	}
}
