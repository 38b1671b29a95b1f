// grpc.js - a gRPC server and a client of @grpc/grpc-js, driven by lines of JSON.
//
//   node grpc.js server NAME        prints {"port": N}, then a line for every event of a call
//   node grpc.js client ADDRESS [AUTHORITY [CA-FILE]]
//                                   reads a command a line, prints its outcome with the same id
//
// A command: {id, call: unary|down|up|both, path, count, size, deadline, metadata, cancelAfter, want}. What the server
// does is told in metadata: x-fail: CODE (an error without messages), x-late: CODE (behind the messages), x-hold (it
// never answers), x-slow: MS (between messages).
'use strict';

const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const readline = require('readline');

const definition = loader.loadSync(__dirname + '/echo.proto', {keepCase: true});
const services = grpc.loadPackageDefinition(definition).lattice.test;
const big = {
	'grpc.max_receive_message_length': -1,
	'grpc.max_send_message_length': -1,
	'grpc.enable_http_proxy': 0,
	'grpc.service_config_disable_resolution': 1,
	'grpc.enable_retries': 0,
};

function tell(line) {
	process.stdout.write(JSON.stringify(line) + '\n');
}

function first(metadata, key) {
	return metadata.get(key)[0];
}

function failure(metadata, key) {
	const code = first(metadata, key);
	if (code === undefined) return null;
	const trailers = new grpc.Metadata();
	trailers.set('x-trailer', 'of-an-error');
	return {code: Number(code), details: 'as asked', metadata: trailers};
}

function server(name) {
	function begin(call, kind) {
		tell({event: 'call', kind, path: call.getPath ? call.getPath() : '', host: call.getHost(),
			deadline: call.getDeadline() === Infinity ? null : Number(call.getDeadline()) - Date.now(),
			metadata: call.metadata.getMap()});
		call.on('cancelled', () => tell({event: 'cancelled', kind}));
		const head = new grpc.Metadata();
		head.set('x-by', name);
		head.set('x-echo-bin', Buffer.from([0, 255, 10]));
		if (!call.metadata.get('x-fail').length) call.sendMetadata(head);
	}
	function trailers() {
		const metadata = new grpc.Metadata();
		metadata.set('x-trailer', name);
		return metadata;
	}
	function unary(call, done, note) {
		if (call.metadata.get('x-hold').length) return;
		const error = failure(call.metadata, 'x-fail') || failure(call.metadata, 'x-late');
		if (error) done(error);
		else done(null, note, trailers());
	}
	function finish(call) {
		const late = failure(call.metadata, 'x-late');
		if (late) call.emit('error', late);
		else call.end(trailers());
	}
	const echo = {
		Unary(call, done) {
			begin(call, 'unary');
			unary(call, done, call.request);
		},
		Down(call) {
			begin(call, 'down');
			const fail = failure(call.metadata, 'x-fail');
			if (fail) return call.emit('error', fail);
			const slow = Number(first(call.metadata, 'x-slow') || 0);
			let number = 0;
			(function next() {
				if (call.cancelled) return;
				if (number === call.request.number) {
					if (!call.metadata.get('x-hold').length) finish(call);
					return;
				}
				const free = call.write({number: number++, text: call.request.text});
				if (slow) setTimeout(next, slow);
				else if (free) setImmediate(next);
				else call.once('drain', next);
			})();
		},
		Up(call, done) {
			begin(call, 'up');
			let number = 0, bytes = 0;
			call.on('data', (note) => {
				number++;
				bytes += note.text.length;
			});
			call.on('end', () => unary(call, done, {number, text: Buffer.from(String(bytes))}));
		},
		Both(call) {
			begin(call, 'both');
			call.on('data', (note) => call.write(note));
			call.on('end', () => finish(call));
		},
	};
	const one = new grpc.Server(big);
	one.addService(services.Echo.service, echo);
	one.addService(services.Other.service, {Unary: echo.Unary});
	one.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
		if (error) throw error;
		tell({port});
	});
	process.stdin.on('end', () => process.exit(0)).resume();
}

function client(address, authority, ca) {
	const fs = require('fs');
	const credentials = ca ? grpc.credentials.createSsl(fs.readFileSync(ca)) : grpc.credentials.createInsecure();
	const options = Object.assign({}, big);
	if (authority) {
		options['grpc.default_authority'] = authority;
		if (ca) options['grpc.ssl_target_name_override'] = authority.replace(/:\d+$/, '');
	}
	const stubs = {Echo: new services.Echo(address, credentials, options)};
	stubs.Other = new services.Other(address, credentials, options);

	function run(command) {
		const stub = stubs[command.service || 'Echo'];
		const metadata = new grpc.Metadata();
		for (const key of Object.keys(command.metadata || {})) metadata.set(key, command.metadata[key]);
		const how = command.deadline ? {deadline: Date.now() + command.deadline} : {};
		const text = Buffer.alloc(command.size || 0, 'x');
		const count = command.count === undefined ? 1 : command.count;
		const outcome = {id: command.id, code: null, messages: 0, bytes: 0, by: null};
		let call, sent = 0;
		function take(note) {
			outcome.messages++;
			outcome.bytes += note.text.length;
			outcome.number = note.number;
			outcome.text = note.text.length < 100 ? note.text.toString() : undefined;
			if (outcome.messages === command.cancelAfter) call.cancel();
			if (command.call === 'both' && command.turns) pump();
		}
		function pump() {
			if (sent === count) return call.end();
			const free = call.write({number: sent++, text});
			if (command.turns) return;
			if (free) setImmediate(pump);
			else call.once('drain', pump);
		}
		const done = (error, note) => note && take(note);
		if (command.call === 'down') call = stub.Down({number: count, text}, metadata, how);
		else if (command.call === 'up') call = stub.Up(metadata, how, done);
		else if (command.call === 'both') call = stub.Both(metadata, how);
		else call = stub.Unary({number: 7, text}, metadata, how, done);
		if (command.call === 'down' || command.call === 'both') {
			call.on('data', take);
			call.on('error', () => {});
		}
		call.on('metadata', (head) => {
			outcome.by = first(head, 'x-by') || null;
			const binary = first(head, 'x-echo-bin');
			outcome.binary = binary ? Array.from(binary) : null;
			if (command.cancelAfter === 0) call.cancel();
		});
		call.on('status', (status) => {
			outcome.code = status.code;
			outcome.details = status.details;
			outcome.trailers = status.metadata.getMap();
			setImmediate(() => tell(outcome));
		});
		if (command.call === 'up' || command.call === 'both') pump();
	}
	readline.createInterface({input: process.stdin}).on('line', (line) => run(JSON.parse(line)))
		.on('close', () => process.exit(0));
}

if (process.argv[2] === 'server') server(process.argv[3]);
else client(process.argv[3], process.argv[4], process.argv[5]);
