package main

// erasing breaks what is promised about resources that are erased.
var erasing = []mutant{
	{
		name: "an answer is recorded whose delivery was pruned",
		file: "internal/store/delivery_record.sql.gen.go",
		decl: "recordAttempts",
		old:  "WHERE i.tried AND i.row_ctid IS NOT NULL",
		with: "WHERE i.tried AND NOT i.busy",
		test: "delivery.TestErase_AnswersThatArriveLate",
	},
	{
		name: "a question is recorded whole while its resource is being erased",
		file: "delivery/internal/gates/recorder.go",
		decl: "wasErased",
		old:  "!locked",
		with: "!locked && false",
		test: "delivery.TestErase_QuestionsUnderWay",
	},
	{
		name: "an answer outlives the resource that it is about",
		file: "internal/migration/sql/functions/erase.1.sql",
		old:  "response_headers = '{}', response_body = NULL, response_sha256 = NULL",
		with: "response_headers = '{}'",
		test: "delivery.TestErase_LeavesOnlyTheRecordThatTheResourceWasSent",
	},
}
