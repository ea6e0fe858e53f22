// A member of a consumer group by kafkajs. See ../README.md.

const { Kafka, logLevel, PartitionAssigners } = require('kafkajs')

const [bootstrap, topic, groupId, name] = process.argv.slice(2)
const say = (...words) => console.log(words.join(' '))

async function main() {
  const kafka = new Kafka({ brokers: bootstrap.split(','), clientId: name, logLevel: logLevel.NOTHING })
  const consumer = kafka.consumer({
    groupId,
    sessionTimeout: 6000,
    heartbeatInterval: 500,
    rebalanceTimeout: 10000,
    maxWaitTimeInMs: 50,
    partitionAssigners: [PartitionAssigners.roundRobin],
  })
  process.stdin.on('data', async () => {
    await consumer.disconnect()
    say('closed')
    process.exit(0)
  })
  process.stdin.on('end', () => process.exit(1))
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    say('owns', (payload.memberAssignment[topic] || []).sort().join(','))
  })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      say('got', partition, message.offset)
      const next = (BigInt(message.offset) + 1n).toString()
      try {
        await consumer.commitOffsets([{ topic, partition, offset: next }])
        say('done', partition, next)
      } catch (error) {
        say('not-done', error)
        throw error
      }
    },
  })
}

main()
