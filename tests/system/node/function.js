// function.js - the function that the tests invoke, run by AWS's own runtime client (aws-lambda-ric).
"use strict";

// What the query asks for; else the event is told back.
exports.handler = async (event) => {
	const query = event.queryStringParameters || event.query_string_parameters;
	const want = [].concat(query.want || "echo")[0];

	switch (want) {
	case "echo":
		return {
			isBase64Encoded: false,
			statusCode: 200,
			headers: { "Content-Type": "application/json", "x-by": "function" },
			body: JSON.stringify(event),
		};
	case "cookies":
		return { statusCode: 201, multiValueHeaders: { "Set-Cookie": ["a=1", "b=2"] }, body: "é" };
	case "bytes":
		return { statusCode: 200, isBase64Encoded: true, body: Buffer.from([0, 255, 10]).toString("base64") };
	case "hops":
		return { statusCode: 200, headers: { Connection: "close", "Transfer-Encoding": "x", "Content-Length": "9" }, body: "1" };
	case "large":
		return { statusCode: 200, body: "x".repeat(6 * 1024 * 1024 - 64) };
	case "too-large":
		return { statusCode: 200, body: "x".repeat(6 * 1024 * 1024) };
	case "throw":
		throw new Error("on purpose");
	case "text":
		return "no response";
	case "sleep":
		await new Promise((done) => setTimeout(done, 5000));
		return { statusCode: 200 };
	default:
		return { statusCode: 404 };
	}
};
