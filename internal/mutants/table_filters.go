package main

// filtering are those of filters.
var filtering = []mutant{
	{
		name: "what a filter lets pass does not matter",
		file: "delivery/filter.go", decl: "judgeFilter",
		old: "case !matches:", with: "case !matches && false:",
		test: "delivery.TestTypesUmbrellasChannelsAndFiltersFollowTheirTruthTable",
	},
	{
		name: "a filter that fails lets pass",
		file: "delivery/filter.go", decl: "judgeFilter",
		old: "case err != nil:", with: "case err != nil && false:",
		test: "delivery.TestTypesUmbrellasChannelsAndFiltersFollowTheirTruthTable",
	},
	{
		name: "a filter that is interrupted has failed for good",
		file: "delivery/filter.go", decl: "judgeFilter",
		old: "errors.Is(err, context.Canceled)", with: "false",
		test: "delivery.TestAFilterThatIsInterruptedIsTriedAgain",
	},
	{
		name: "owners are asked about what is filtered",
		file: "delivery/decide.go", decl: "decide",
		old:  "	e.applyFilters(ctx, by, in.Event, decisions)\n	e.judgeAccess(ctx, by, in, decisions)",
		with: "	e.judgeAccess(ctx, by, in, decisions)\n	e.applyFilters(ctx, by, in.Event, decisions)",
		test: "delivery.TestAFilterDecidesWhoHearsAndNobodyIsAskedAboutTheOthers",
	},
	{
		name: "a filter that failed is not run again",
		file: "internal/store/redeliver.sql.gen.go", decl: "retryFailedIntent",
		old:  "    WHERE d.intent_id = p.id AND d.outcome IN ('failed', 'filter_error')\n",
		with: "    WHERE d.intent_id = p.id AND d.outcome IN ('failed')\n",
		test: "delivery.TestAFilterThatFailedIsRunAgainWithWhatItIsThen",
	},
	{
		name: "without a check every filter is taken",
		file: "hierarchy/subscription_check.go", decl: "checkFilter",
		old: "		return errors.New(\"must be empty:", with: "		_ = errors.New(\"must be empty:",
		test: "hierarchy.TestWithoutACheckAFilterIsRefused",
	},
	{
		name: "a run costs what it likes",
		file: "filter/environment.go", decl: "limits",
		old: "cel.CostLimit(uint64(maxCost)),", with: "cel.CostLimit(1 << 40),",
		test: "filter.TestWhatCostsTooMuchIsStopped",
	},
	{
		name: "a call costs one, whatever it is given",
		file: "filter/cost.go", decl: "CallCost",
		old: "total += size", with: "total += min(size, 1)",
		test: "filter.TestWhatCostsTooMuchIsStopped",
	},
	{
		name: "a value is looked at however large it is",
		file: "filter/environment.go", decl: "limits",
		old: "cel.MemoryLimit(uint32(maxCost)),", with: "cel.MemoryLimit(1 << 31),",
		test: "filter.TestWhatCostsTooMuchIsStopped",
	},
	{
		name: "a filter is compiled whatever it may cost",
		file: "filter/filter.go", decl: "Compile",
		old: "estimate.Max > uint64(o.MaxCost)", with: "estimate.Max > 1<<63",
		test: "filter.TestALimitOfOnesOwnHoldsWhenCompiledAndWhenRun",
	},
	{
		name: "a failure tells a value of the event",
		file: "filter/error.go", decl: "kindOf",
		old: "			return kind\n", with: "			return err.Error()\n",
		test: "filter.TestAFailureSaysWhereAndTellsNoValue",
	},
}
