// kafkajs. Speaks the line protocol of ../README.md, but for `read`: kafkajs reads only in consumer groups,
// so what it wrote is read back by the others.

const fs = require('fs')
const readline = require('readline')
const { Kafka, CompressionTypes, CompressionCodecs, Partitioners, logLevel } = require('kafkajs')
CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')

const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy }
const unhex = (text) => (text === '-' ? null : Buffer.from(text, 'hex'))
const connect = (bootstrap) => new Kafka({ brokers: bootstrap.split(','), logLevel: logLevel.NOTHING })
// One connection's round of records: below max.message.bytes whatever the codec.
const RECORDS_PER_SEND = 1000

async function create(bootstrap, topic, partitions, replicas) {
  const admin = connect(bootstrap).admin()
  await admin.connect()
  try {
    const [numPartitions, replicationFactor] = [Number(partitions), Number(replicas)]
    await admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor }] })
  } finally {
    await admin.disconnect()
  }
}

function recordOf(line) {
  const [when, key, value, pairs] = line.split('\t')
  const headers = {}
  for (const pair of pairs.split(',').filter(Boolean)) {
    const [name, bytes] = pair.split(':')
    const text = unhex(name).toString()
    headers[text] = [...(headers[text] || []), unhex(bytes)]
  }
  const record = { key: unhex(key), value: unhex(value), headers }
  return when === '-' ? record : { ...record, timestamp: when }
}

async function produce(bootstrap, topic, codec, idempotent, path) {
  const producer = connect(bootstrap).producer({
    idempotent: idempotent === '1',
    createPartitioner: Partitioners.DefaultPartitioner,
  })
  await producer.connect()
  try {
    const lines = fs.readFileSync(path, 'utf8').split('\n').filter(Boolean)
    for (let at = 0; at < lines.length; at += RECORDS_PER_SEND) {
      const messages = lines.slice(at, at + RECORDS_PER_SEND).map(recordOf)
      const acks = idempotent === '1' ? -1 : 1
      await producer.send({ topic, messages, acks, compression: codecs[codec] })
    }
  } finally {
    await producer.disconnect()
  }
}

const verbs = { create, produce }

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [verb, ...words] = line.split('\t')
    try {
      if (!verbs[verb]) throw new Error(`unknown verb ${verb}`)
      await verbs[verb](...words)
      console.log('ok')
    } catch (error) {
      console.log(`error ${error}`.replaceAll('\n', ' '))
    }
  }
}

main()
